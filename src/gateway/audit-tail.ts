import { dirname, join } from 'node:path';
import { lineHash } from './audit-chain.ts';
import { earlierFiles } from './audit-files.ts';
import { type ParsedLine, parseAuditLine } from './audit-reading.ts';
import { CHECKPOINT_EVENT, HEAD_FILE } from './audit-seal.ts';
import { linesFromEnd } from './lines-from-end.ts';

/** A line of the audit file, without what chains it. */
export interface AuditedDecision {
  readonly at: string;
  readonly event: string;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}

/** What is written for every heartbeat or hour says nothing about decisions. */
const figures: ReadonlySet<string> = new Set(['token.heartbeats', 'token.used']);

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
  for await (const line of linesFromEnd(path, { mostBytes, mark })) {
    const decision = decisionOf(line, nodeId);
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

/** Of this gateway; `undefined`: it has no signing key, or nobody has given it. */
export type KeyedHash = ((hash: string) => string) | undefined;

interface FoundGeneration extends AuditedGeneration {
  /** Written with the signing key of this gateway. */
  readonly isOwn: boolean;
}

/**
 * Reads the audit files from their end, and the newest checkpoint beside them: the higher number counts. With the keyed hash of
 * this gateway one that others have written counts only where there is none of its own, as after a change of the key.
 */
export async function auditedGeneration(path: string, mac: KeyedHash): Promise<AuditedGeneration> {
  const directory = dirname(path);
  const earlier = await earlierFiles(path).catch(absent);
  const files = [path, ...(earlier ?? []).toReversed().map((name) => join(directory, name))];
  const heads = [
    await newestGeneration(files, mac),
    await newestGeneration([join(directory, HEAD_FILE)], mac),
  ];
  const found = heads.filter((one) => one !== undefined);
  const own = found.filter(({ isOwn }) => isOwn);
  const [first = { count: 0, through: undefined }, second] = own.length > 0 ? own : found;
  return second && second.count > first.count ? second : first;
}

/** The newest of its own; else the newest. */
async function newestGeneration(
  files: readonly string[],
  mac: KeyedHash,
): Promise<FoundGeneration | undefined> {
  let others: FoundGeneration | undefined;
  for (const file of files)
    try {
      for await (const text of linesFromEnd(file, {
        mostBytes: mostCheckpointBytes,
        mark: CHECKPOINT_EVENT,
      })) {
        const line = parseAuditLine(text);
        const generation = line && generationOf(line);
        if (!generation) continue;
        const isOwn = !mac || (line.mac === mac(line.hash) && lineHash(line.body) === line.hash);
        if (isOwn) return { ...generation, isOwn };
        others ??= { ...generation, isOwn };
      }
    } catch (error) {
      absent(error);
    }
  return others;
}

/** @throws any other error. */
function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

/** `undefined`: it is no checkpoint, or one that names none. */
export function generationOf({ event, facts, prev }: ParsedLine): AuditedGeneration | undefined {
  const { generation: count } = facts;
  if (event !== CHECKPOINT_EVENT || typeof count !== 'number' || !Number.isSafeInteger(count))
    return undefined;
  return { count, through: prev };
}

/** What the newest line says that notes an anchor. */
export interface NotedAnchor {
  readonly sequence: number;
  readonly digest: string;
}

/** `undefined`: none of the last lines of the file does, or it is being set aside. */
export async function notedAnchor(path: string): Promise<NotedAnchor | undefined> {
  try {
    for await (const text of linesFromEnd(path, { mostBytes: mostCheckpointBytes, mark: ANCHORED_EVENT })) {
      const line = parseAuditLine(text);
      if (line?.event !== ANCHORED_EVENT) continue;
      const { anchored, transaction } = line.facts;
      if (typeof anchored === 'number' && typeof transaction === 'string')
        return { sequence: anchored, digest: transaction };
    }
  } catch (error) {
    absent(error);
  }
  return undefined;
}

/** Written once an anchor is on chain. */
export const ANCHORED_EVENT = 'audit.anchored';

/** Written at the first start after `gateway state restore`. */
export const RESTORED_EVENT = 'state.restored';

function decisionOf(text: string, nodeId: string): AuditedDecision | undefined {
  const line = parseAuditLine(text);
  // A reason that the operator has typed may hold the same text.
  if (line?.facts.node_id !== nodeId || figures.has(line.event)) return undefined;
  const { at, event, facts: all } = line;
  const { node_id: _, ...facts } = all as AuditedDecision['facts'];
  return { at, event, facts };
}
