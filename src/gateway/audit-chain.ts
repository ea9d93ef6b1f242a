import { createHash } from 'node:crypto';

export type AuditFacts = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** The content of an audit line, before it is chained. */
export interface AuditEntry {
  readonly at: string;
  readonly event: string;
  readonly facts: AuditFacts;
}

/** The last line of the chain. */
export interface ChainHead {
  readonly sequence: number;
  readonly hash: string;
}

/** What the first line of all continues. */
export const GENESIS: ChainHead = { sequence: 0, hash: '0'.repeat(64) };

/** Lines that continue the chain, each with the hash of the one before it, and where the chain then ends. */
export function chainLines(
  head: ChainHead,
  entries: readonly AuditEntry[],
  mac?: (hash: string) => string,
): { readonly text: string; readonly head: ChainHead; readonly hashes: readonly string[] } {
  let last = head;
  const hashes: string[] = [];
  const lines = entries.map(({ at, event, facts }) => {
    const body = { seq: last.sequence + 1, at, event, ...facts, prev: last.hash };
    const hash = lineHash(body);
    last = { sequence: body.seq, hash };
    hashes.push(hash);
    return `${JSON.stringify({ ...body, hash, ...(mac && { mac: mac(hash) }) })}\n`;
  });
  return { text: lines.join(''), head: last, hashes };
}

/** SHA-256 over the line without its members `hash` and `mac`, as it stands in the file. */
export function lineHash(body: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('hex');
}
