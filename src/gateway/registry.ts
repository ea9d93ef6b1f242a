import { z } from 'zod';
import { ConfigurationError, messageOf } from '#base';
import { type Ban, banKey, readBan, storedBan } from './bans.ts';
import { type BreakerState, idleBreaker } from './breaker.ts';
import { createCommitGroup } from './commit-group.ts';
import { type DiskReserve, isDiskFull } from './disk-reserve.ts';
import type { Change, Store } from './store.ts';
import { fromStored, type Presence, toStored, type Worker, workerKey } from './worker.ts';
import { createWorkerIndex, type WorkerChange } from './worker-index.ts';

/**
 * What the gateway knows, in memory, and behind it the store. What lets somebody in is written before it counts (`save`);
 * what locks out counts before it is written (`decide`); heartbeats count at once and are written now and then (`flush`).
 */
export interface Registry {
  worker(nodeId: string): Worker | undefined;
  /** All of them, copied: not for the path of a request. */
  workers(): readonly Worker[];
  workerOfToken(tokenId: string): Worker | undefined;
  /** How many are joining or members. */
  admittedCount(): number;
  /** Is told of every change of a worker, once it counts. */
  onWorkerChange(listener: WorkerChange): void;
  presence(nodeId: string): Presence | undefined;
  bans(): ReadonlyMap<string, Ban>;
  breaker(): BreakerState;
  /** One durable transaction. */
  save(changes: Decisions): Promise<void>;
  /**
   * Counts at once, and is written as soon as it can be: a full disk gives up its reserve for it, and what cannot be
   * written even then goes before everything else that is. Never throws.
   */
  decide(changes: Decisions): Promise<void>;
  /** Why decisions that count already could not be written yet, if there are any. */
  failure(): string | undefined;
  /** The name is free again. */
  forget(nodeId: string): Promise<void>;
  /** Takes a heartbeat; forgotten by a crash before the next flush, which costs nothing but figures. */
  hear(nodeId: string, presence: Presence): void;
  /** Writes what is owed, then what was heard, in chunks that let others have the thread in between. */
  flush(): Promise<void>;
}

interface Decisions {
  readonly worker?: Worker;
  readonly bans?: readonly Ban[];
  readonly lifted?: ReadonlyArray<Pick<Ban, 'subject' | 'value'>>;
  readonly breaker?: BreakerState;
}

interface OrderedCommit {
  readonly changes: () => readonly Change[];
  readonly apply: (overtaken: ReadonlySet<string>) => void;
}

const breakerKey = '/breaker';
const none: ReadonlySet<string> = new Set();
const flushChunk = 200;

const StoredBreaker = z.strictObject({
  tripped_at: z.number().nullable(),
  removals: z.array(z.strictObject({ node_id: z.string(), at: z.number() })),
});

export async function openRegistry(store: Store, reserve?: DiskReserve): Promise<Registry> {
  const workers = createWorkerIndex();
  const presences = new Map<string, Presence>();
  const bans = new Map<string, Ban>();
  const unwritten = new Set<string>();
  /** Decided, and not written yet. */
  const owed = new Map<string, Change>();
  /** Of each save that was asked for and does not count yet, the keys that were decided on after it. */
  const underway = new Set<Set<string>>();
  let failure: string | undefined;
  for (const [key, value] of await store.list('/workers/')) {
    const { worker, presence } = fromStored(key, value);
    workers.set(worker);
    if (presence) presences.set(worker.nodeId, presence);
  }
  for (const [key, value] of await store.list('/bans/')) bans.set(key, readBan(key, value));
  let breaker = readBreaker(await store.read(breakerKey));
  const commits = createCommitGroup(writeGroup);

  function changeOf(worker: Worker): Change {
    return { key: workerKey(worker.nodeId), value: toStored(worker, presences.get(worker.nodeId)) };
  }

  function changesOf({ worker, bans: added = [], lifted = [], breaker: next }: Decisions): readonly Change[] {
    return [
      ...(worker ? [changeOf(worker)] : []),
      ...added.map((ban) => ({ key: banKey(ban), value: storedBan(ban) })),
      ...lifted.map((ban) => ({ key: banKey(ban), value: undefined })),
      ...(next ? [{ key: breakerKey, value: storedBreaker(next) }] : []),
    ];
  }

  function remember(
    { worker, bans: added = [], lifted = [], breaker: next }: Decisions,
    overtaken: ReadonlySet<string> = none,
  ): void {
    if (worker && !overtaken.has(workerKey(worker.nodeId))) workers.set(worker);
    for (const ban of added) if (!overtaken.has(banKey(ban))) bans.set(banKey(ban), ban);
    for (const ban of lifted) if (!overtaken.has(banKey(ban))) bans.delete(banKey(ban));
    if (next && !overtaken.has(breakerKey)) breaker = next;
  }

  /** Writes in the order of asking; what a decision has overtaken meanwhile is neither written nor remembered. */
  async function commit({ changes, apply }: OrderedCommit): Promise<void> {
    const overtaken = new Set<string>();
    underway.add(overtaken);
    try {
      await commits.add({
        changes: () => changes().filter(({ key }) => !overtaken.has(key)),
        apply: () => apply(overtaken),
      });
    } finally {
      underway.delete(overtaken);
    }
  }

  /** With what is owed, which is older: a store that skipped it could not be told from one that was turned back. */
  async function write(changes: readonly Change[]): Promise<void> {
    const owedNow = new Map(owed);
    const all = new Map<string, Change>(owedNow);
    for (const change of changes) all.set(change.key, change);
    await store.write([...all.values()]);
    // What was decided while this was written is still owed.
    for (const [key, change] of owedNow) if (owed.get(key) === change) owed.delete(key);
    failure = undefined;
  }

  async function writeGroup(changes: readonly Change[]): Promise<void> {
    try {
      await write(changes);
    } catch (error) {
      if (owed.size > 0) await writeOwed(error, { isTried: changes.length === 0 });
      throw error;
    }
  }

  /** By itself: what else was to be written with it takes nothing of the reserve. */
  async function writeOwed(error: unknown, { isTried }: { readonly isTried: boolean }): Promise<void> {
    let cause = error;
    if (!isTried) {
      try {
        return await write([]);
      } catch (again) {
        cause = again;
      }
    }
    failure = messageOf(cause);
    if (!isDiskFull(cause) || reserve?.release() !== true) return;
    await write([]).catch((again: unknown) => {
      failure = messageOf(again);
    });
  }

  /** Never throws: what cannot be written stays owed, and `failure` says why. */
  function settleDebt(): Promise<void> {
    return commits.add({ changes: () => [], apply: () => undefined }).catch(() => undefined);
  }

  return {
    worker: (nodeId) => workers.get(nodeId),
    workers: () => workers.all(),
    workerOfToken: (tokenId) => workers.ofToken(tokenId),
    admittedCount: () => workers.admittedCount(),
    onWorkerChange: (listener) => workers.onChange(listener),
    presence: (nodeId) => presences.get(nodeId),
    bans: () => bans,
    breaker: () => breaker,

    save: (changes) =>
      commit({
        changes: () => changesOf(changes),
        apply: (overtaken) => remember(changes, overtaken),
      }),

    decide(changes) {
      remember(changes);
      for (const change of changesOf(changes)) {
        owed.set(change.key, change);
        for (const overtaken of underway) overtaken.add(change.key);
      }
      return settleDebt();
    },
    failure: () => (owed.size > 0 ? failure : undefined),

    forget: (nodeId) =>
      commit({
        changes: () => [{ key: workerKey(nodeId), value: undefined }],
        apply(overtaken) {
          if (overtaken.has(workerKey(nodeId))) return;
          workers.delete(nodeId);
          presences.delete(nodeId);
          unwritten.delete(nodeId);
        },
      }),

    hear(nodeId, presence) {
      presences.set(nodeId, presence);
      unwritten.add(nodeId);
    },

    async flush() {
      if (owed.size > 0) await settleDebt();
      // Figures can wait: the room that is left is for lock-outs.
      if (reserve?.isSpent()) return;
      const due = [...unwritten];
      unwritten.clear();
      for (let start = 0; start < due.length; start += flushChunk) {
        const chunk = due.slice(start, start + flushChunk);
        try {
          await commits.add({
            isRefresh: true,
            changes: () =>
              chunk
                .map((nodeId) => workers.get(nodeId))
                .filter((worker) => worker !== undefined)
                .map(changeOf),
            apply: () => undefined,
          });
        } catch (error) {
          for (const nodeId of due.slice(start)) unwritten.add(nodeId);
          throw error;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

function storedBreaker({ trippedAtMs, removals }: BreakerState): z.infer<typeof StoredBreaker> {
  return {
    tripped_at: trippedAtMs ?? null,
    removals: removals.map(({ nodeId, atMs }) => ({ node_id: nodeId, at: atMs })),
  };
}

function readBreaker(value: unknown): BreakerState {
  if (value === undefined) return idleBreaker;
  const parsed = StoredBreaker.safeParse(value);
  if (!parsed.success)
    throw new ConfigurationError(
      'DAAS_GATEWAY_STORE_DAMAGED',
      `the state record ${breakerKey} is not one of this version: restore the state file from a backup`,
      { cause: parsed.error },
    );
  return {
    trippedAtMs: parsed.data.tripped_at ?? undefined,
    removals: parsed.data.removals.map(({ node_id: nodeId, at: atMs }) => ({ nodeId, atMs })),
  };
}
