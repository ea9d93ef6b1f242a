import { dirname, join } from 'node:path';
import { readTrustedText, replaceFile } from '#infrastructure';
import type { AuditEntry, ChainHead } from './audit-chain.ts';
import type { AuditSigner } from './audit-signer.ts';
import { merkleTree } from './merkle.ts';

export const CHECKPOINT_EVENT = 'audit.checkpoint';
/** Beside the audit file: the newest checkpoint. A file that ends before it has lost lines. */
export const HEAD_FILE = 'audit-head.json';

/** The lines that no checkpoint covers yet. */
export interface Seal {
  /** The sequence of the first of them. */
  readonly from: number;
  readonly hashes: readonly string[];
  readonly sinceMs: number;
}

export const noSeal: Seal = { from: 0, hashes: [], sinceMs: 0 };

const mostLines = 1_000;
const mostMs = 60_000;

/** With further lines, which begin at `first`. */
export function sealedBy(
  { from, hashes, sinceMs }: Seal,
  added: { readonly first: number; readonly hashes: readonly string[]; readonly nowMs: number },
): Seal {
  if (hashes.length === 0) return { from: added.first, hashes: added.hashes, sinceMs: added.nowMs };
  return { from, hashes: [...hashes, ...added.hashes], sinceMs };
}

export function isSealDue({ hashes, sinceMs }: Seal, nowMs: number): boolean {
  return hashes.length >= mostLines || (hashes.length > 0 && nowMs - sinceMs >= mostMs);
}

/** The line that signs them. */
export function checkpointEntry({
  signer,
  seal: { from, hashes },
  head,
  at,
  generation,
}: {
  readonly signer: AuditSigner;
  readonly seal: Seal;
  readonly head: ChainHead;
  readonly at: string;
  /** Of the state, which remembers `head`. */
  readonly generation: number | undefined;
}): AuditEntry {
  const said = { from, through: head.sequence, root: merkleTree(hashes).root };
  const signature = signer.sign({ gateway: signer.gatewayId, head: head.hash, ...said });
  return {
    at,
    event: CHECKPOINT_EVENT,
    facts: { gateway: signer.gatewayId, key: signer.publicKey, ...said, signature, generation },
  };
}

/** Keeps the newest checkpoint beside the file. A copy elsewhere is better: who can shorten one can shorten both. */
export async function writeHead(path: string, line: string): Promise<void> {
  await replaceFile(headPathOf(path), line, 0o600);
}

function headPathOf(path: string): string {
  return join(dirname(path), HEAD_FILE);
}

/** How many lines that a checkpoint had covered are missing after the line `last`; 0 where no checkpoint is known. */
export async function linesBeyond(path: string, last: number): Promise<number> {
  const head = await readHead(headPathOf(path));
  return Math.max(0, (head ?? 0) - last);
}

/** The sequence of the newest checkpoint; `undefined`: the file is not there, or is none. */
export async function readHead(path: string): Promise<number | undefined> {
  try {
    const text = await readTrustedText(path, { what: 'the newest checkpoint', origin: 'gateway.stateDir' });
    const { seq } = JSON.parse(text) as { seq?: unknown };
    return Number.isSafeInteger(seq) ? (seq as number) : undefined;
  } catch {
    return undefined;
  }
}
