import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AuditAnchor } from '#domain';
import { auditPlace, type ParsedLine, parseAuditLine } from './audit-reading.ts';
import { CHECKPOINT_EVENT, HEAD_FILE } from './audit-seal.ts';

/** A line of the audit file, without what chains it. */
export interface AuditedDecision {
  readonly at: string;
  readonly event: string;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}

/** What is written for every heartbeat or hour says nothing about decisions. */
const figures: ReadonlySet<string> = new Set(['token.heartbeats', 'token.used']);
const chunkBytes = 256 * 1024;

/**
 * The last lines of an audit file about a node, the newest first, read backwards from its end and never more than
 * `mostBytes`. Lines that are cut or not JSON are passed over: this shows, it does not verify.
 */
export async function lastDecisions(
  path: string,
  nodeId: string,
  { most = 8, mostBytes = 16 * 1024 * 1024 }: { readonly most?: number; readonly mostBytes?: number } = {},
): Promise<readonly AuditedDecision[]> {
  const mark = `"node_id":${JSON.stringify(nodeId)}`;
  const found: AuditedDecision[] = [];
  for await (const line of linesFromEnd(path, mostBytes)) {
    const decision = line.includes(mark) ? decisionOf(line, nodeId) : undefined;
    if (decision) found.push(decision);
    if (found.length >= most) break;
  }
  return found;
}

/** What the newest checkpoint that names a generation of the state says. */
export interface AuditedGeneration {
  /** 0: no checkpoint names one. */
  readonly count: number;
  /** The hash of the last line that it signs. */
  readonly through: string | undefined;
}

/** Checkpoints are seldom further apart than that. */
const mostCheckpointBytes = 16 * 1024 * 1024;

/** Reads the end of the audit file, and the newest checkpoint beside it: the higher number counts. */
export async function auditedGeneration(path: string): Promise<AuditedGeneration> {
  let found: AuditedGeneration = { count: 0, through: undefined };
  for (const file of [path, join(dirname(path), HEAD_FILE)]) {
    const next = await newestGeneration(file);
    if (next && next.count > found.count) found = next;
  }
  return found;
}

async function newestGeneration(path: string): Promise<AuditedGeneration | undefined> {
  try {
    for await (const text of linesFromEnd(path, mostCheckpointBytes)) {
      const line = text.includes(CHECKPOINT_EVENT) ? parseAuditLine(text) : undefined;
      const generation = line && generationOf(line);
      if (generation) return generation;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return undefined;
}

function generationOf({ event, facts, prev }: ParsedLine): AuditedGeneration | undefined {
  const { generation: count } = facts;
  if (event !== CHECKPOINT_EVENT || typeof count !== 'number' || !Number.isSafeInteger(count))
    return undefined;
  return { count, through: prev };
}

/** How the audit file stands to a line of it that was anchored on chain. */
export type AnchorStanding =
  | { readonly kind: 'held' }
  /** It is older than the oldest file that is kept. */
  | { readonly kind: 'rotated' }
  | {
      readonly kind: 'missing';
      readonly detail: string;
      /** The operator has restored the state after the anchor was made. */
      readonly isAccepted: boolean;
    };

/** Written at the first start after `gateway state restore`. */
export const RESTORED_EVENT = 'state.restored';

/** Reads back from the end to the anchored line, over all files, and in a file that was put back to lines as old as it. */
export async function anchorStanding(path: string, anchor: AuditAnchor): Promise<AnchorStanding> {
  const { files } = await auditPlace(dirname(path));
  let last: number | undefined;
  let other: string | undefined;
  let isAccepted = false;
  for (const file of files.toReversed())
    for await (const text of linesFromEnd(file)) {
      const line = parseAuditLine(text);
      if (!line) continue;
      last ??= line.seq;
      const isNewer = Date.parse(line.at) > anchor.atMs;
      if (line.seq === anchor.sequence) {
        if (line.hash === anchor.hash) return { kind: 'held' };
        other ??= line.hash;
      }
      if (line.event === RESTORED_EVENT && isNewer) isAccepted = true;
      if (line.seq <= anchor.sequence && !isNewer)
        return { kind: 'missing', detail: missingText(anchor, last, other), isAccepted };
    }
  // Every line that is there is newer than the anchored one.
  if (last !== undefined && other === undefined && last > anchor.sequence) return { kind: 'rotated' };
  return { kind: 'missing', detail: missingText(anchor, last ?? 0, other), isAccepted };
}

/** In words for people. */
export function missingText(
  { sequence, hash, digest, atMs }: AuditAnchor,
  last: number,
  other: string | undefined,
): string {
  const has =
    other !== undefined ? `has the hash ${other}` : last < sequence ? 'is missing at its end' : 'is missing';
  return `line ${sequence} of the audit file, which the transaction ${digest} anchored on chain with the hash ${hash} at ${new Date(atMs).toISOString()}, ${has}`;
}

/** The newest first, and never more than `mostBytes`. */
async function* linesFromEnd(path: string, mostBytes = Number.POSITIVE_INFINITY): AsyncGenerator<string> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  // The beginning of the line that the chunk after this one begins within.
  let rest: Buffer = Buffer.alloc(0);
  for (let end = size; end > Math.max(0, size - mostBytes); ) {
    const start = Math.max(0, end - chunkBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    const text = Buffer.concat([buffer.subarray(0, bytesRead), rest]);
    const firstBreak = start === 0 ? -1 : text.indexOf('\n');
    // A chunk without a line break lies within one line.
    if (start > 0 && firstBreak === -1) rest = text;
    else {
      rest = text.subarray(0, Math.max(0, firstBreak));
      yield* text
        .subarray(firstBreak + 1)
        .toString('utf8')
        .split('\n')
        .reverse();
    }
    end = start;
  }
}

function decisionOf(text: string, nodeId: string): AuditedDecision | undefined {
  const line = parseAuditLine(text);
  // A reason that the operator has typed may hold the same text.
  if (line?.facts.node_id !== nodeId || figures.has(line.event)) return undefined;
  const { at, event, facts: all } = line;
  const { node_id: _, ...facts } = all as AuditedDecision['facts'];
  return { at, event, facts };
}
