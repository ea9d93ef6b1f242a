import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { inSlices } from '#base';
import type { StoredRecord, StoreNews } from '#state';
import { type Ban, readBan } from './bans.ts';
import { type BreakerState, idleBreaker } from './breaker.ts';
import { type Claim, claimKey, readClaim } from './claims.ts';
import { emptyHistory, historyAfter, type NameHistory } from './name-history.ts';
import { historyKey, readHistory } from './stored-history.ts';
import { Millis, orNull, readStored, storedRecord } from './stored-record.ts';
import { fromStored, workerKey } from './stored-worker.ts';
import type { LastHeartbeat, Worker } from './worker.ts';
import { createWorkerIndex, type WorkerIndex } from './worker-index.ts';

/** What counts now. */
export interface Memory {
  readonly workers: WorkerIndex;
  readonly lastHeartbeats: Map<string, LastHeartbeat>;
  readonly bans: Map<string, Ban>;
  readonly banListeners: Array<() => void>;
  readonly histories: Map<string, NameHistory>;
  breaker: BreakerState;
  readonly claims: Map<string, Claim>;
  readonly moments: Map<string, number>;
  /** Node ids whose last heartbeat is not written yet. */
  readonly unwritten: Set<string>;
}

export const breakerKey = '/breaker';
export const momentKey = (name: string) => `/moments/${name}`;
const StoredMoment = z.strictObject({ at: Millis });

const StoredBreaker = storedRecord({
  trippedAtMs: ['tripped_at', orNull(z.number())],
  removals: [
    'removals',
    z
      .array(
        storedRecord({
          nodeId: ['node_id', z.string()],
          // A record of an earlier version has no such member.
          staker: ['staker', orNull(z.string()).optional()],
          atMs: ['at', z.number()],
        }),
      )
      .readonly(),
  ],
});

export const storedBreaker = (breaker: BreakerState): unknown => z.encode(StoredBreaker, breaker);

export const emptyMemory = (): Memory => ({
  workers: createWorkerIndex(),
  lastHeartbeats: new Map(),
  bans: new Map(),
  banListeners: [],
  histories: new Map(),
  breaker: idleBreaker,
  claims: new Map(),
  moments: new Map(),
  unwritten: new Set(),
});

/**
 * The first reading, in slices between which other work gets the thread. Nobody may use the memory before it is over.
 * @throws `DAAS_GATEWAY_STORE_DAMAGED`.
 */
export async function readAll(memory: Memory, records: readonly StoredRecord[]): Promise<void> {
  await inSlices(records, ([key, value]) => take(memory, key, value));
  await inSlices(memory.workers.all(), (worker) => rememberHolder(memory, worker));
}

/**
 * Makes what the store holds what counts.
 * @throws `DAAS_GATEWAY_STORE_DAMAGED`.
 */
export function learn(memory: Memory, news: StoreNews): void {
  const records =
    news.kind === 'listed' ? news.records : news.changes.map(({ key, value }) => [key, value] as const);
  const gone = new Set(news.kind === 'listed' ? keysOf(memory) : []);
  let isBanChanged = false;
  const takeOne = (key: string, value: unknown) => {
    const before = memory.bans.get(key);
    take(memory, key, value);
    isBanChanged ||= !isDeepStrictEqual(before, memory.bans.get(key));
  };
  for (const [key, value] of records) {
    gone.delete(key);
    takeOne(key, value);
  }
  for (const key of gone) takeOne(key, undefined);
  if (news.kind === 'listed') for (const worker of memory.workers.all()) rememberHolder(memory, worker);
  if (isBanChanged) for (const listener of memory.banListeners) listener();
}

/** An earlier version remembered no more than the last holder of a name. */
function rememberHolder({ histories }: Memory, worker: Worker): void {
  if (!histories.has(worker.nodeId))
    histories.set(worker.nodeId, historyAfter(emptyHistory(worker.nodeId), undefined, worker));
}

function keysOf({ workers, bans, histories, claims, moments }: Memory): string[] {
  return [
    ...workers.all().map(({ nodeId }) => workerKey(nodeId)),
    ...bans.keys(),
    ...[...histories.keys()].map(historyKey),
    ...[...claims.keys()].map((nodeId) => claimKey({ nodeId })),
    ...[...moments.keys()].map(momentKey),
    breakerKey,
  ];
}

/** One record; what belongs to others, such as logins, is left. */
function take(memory: Memory, key: string, value: unknown): void {
  if (key === breakerKey) {
    memory.breaker = value === undefined ? idleBreaker : readStored(StoredBreaker, { key, value });
    return;
  }
  const [, kind = '', ...rest] = key.split('/');
  const name = rest.join('/');
  if (kind === 'workers') takeWorker(memory, key, name, value);
  else if (kind === 'bans') put(memory.bans, key, value === undefined ? undefined : readBan(key, value));
  else if (kind === 'names')
    put(memory.histories, name, value === undefined ? undefined : readHistory(key, value));
  else if (kind === 'claims')
    put(memory.claims, name, value === undefined ? undefined : readClaim(key, value));
  else if (kind === 'moments')
    put(memory.moments, name, value === undefined ? undefined : readStored(StoredMoment, { key, value }).at);
}

function put<Value>(map: Map<string, Value>, name: string, value: Value | undefined): void {
  if (value === undefined) map.delete(name);
  else map.set(name, value);
}

function takeWorker({ workers, lastHeartbeats }: Memory, key: string, nodeId: string, value: unknown): void {
  if (value === undefined) {
    lastHeartbeats.delete(nodeId);
    workers.delete(nodeId);
    return;
  }
  const { worker, lastHeartbeat } = fromStored(key, value);
  if (lastHeartbeat) lastHeartbeats.set(nodeId, lastHeartbeat);
  // Listeners hear of changes alone.
  if (!isDeepStrictEqual(workers.get(nodeId), worker)) workers.set(worker);
}
