import { hash as hashOf } from 'node:crypto';

/** Members of every line: a fact of that name would be in the line twice, or in its place. */
type OfLine = 'seq' | 'at' | 'event' | 'prev' | 'hash' | 'mac';

export type AuditFacts = Readonly<Record<string, string | number | boolean | null | undefined>> & {
  readonly [Name in OfLine]?: never;
};

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
    const sequence = last.sequence + 1;
    const body = JSON.stringify({ seq: sequence, at, event, ...facts, prev: last.hash });
    const hash = hashOf('sha256', body);
    last = { sequence, hash };
    hashes.push(hash);
    // What was hashed is what is written: further members at its end.
    return `${body.slice(0, -1)},${JSON.stringify({ hash, ...(mac && { mac: mac(hash) }) }).slice(1)}\n`;
  });
  return { text: lines.join(''), head: last, hashes };
}

/** SHA-256 over the line without its members `hash` and `mac`, as it stands in the file. */
export function lineHash(body: Readonly<Record<string, unknown>>): string {
  return hashOf('sha256', JSON.stringify(body));
}
