import { z } from 'zod';
import { ConfigurationError, messageOf } from '#base';
import { type Ban, banKey, readBan, storedBan } from './bans.ts';
import { type BreakerState, idleBreaker } from './breaker.ts';
import { type DiskReserve, isDiskFull } from './disk-reserve.ts';
import type { Change, Store } from './store.ts';
import { fromStored, type Presence, toStored, type Worker, workerKey } from './worker.ts';

/**
 * What the gateway knows, in memory, and behind it the store. What lets somebody in is written before it counts (`save`);
 * what locks out counts before it is written (`decide`); heartbeats count at once and are written now and then (`flush`).
 */
export interface Registry {
  worker(nodeId: string): Worker | undefined;
  workers(): readonly Worker[];
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

const breakerKey = '/breaker';
const flushChunk = 200;

const StoredBreaker = z.strictObject({
  tripped_at: z.number().nullable(),
  removals: z.array(z.strictObject({ node_id: z.string(), at: z.number() })),
});

export async function openRegistry(store: Store, reserve?: DiskReserve): Promise<Registry> {
  const workers = new Map<string, Worker>();
  const presences = new Map<string, Presence>();
  const bans = new Map<string, Ban>();
  const unwritten = new Set<string>();
  /** Decided, and not written yet. */
  const owed = new Map<string, unknown>();
  let failure: string | undefined;
  for (const [key, value] of await store.list('/workers/')) {
    const { worker, presence } = fromStored(key, value);
    workers.set(worker.nodeId, worker);
    if (presence) presences.set(worker.nodeId, presence);
  }
  for (const [key, value] of await store.list('/bans/')) bans.set(key, readBan(key, value));
  let breaker = readBreaker(await store.read(breakerKey));
  let last: Promise<unknown> = Promise.resolve();

  /** What is written and what is remembered change together: a flush in between would write the past again. */
  function oneByOne<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work, work);
    last = mine.catch(() => undefined);
    return mine;
  }

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

  function remember({ worker, bans: added = [], lifted = [], breaker: next }: Decisions): void {
    if (worker) workers.set(worker.nodeId, worker);
    for (const ban of added) bans.set(banKey(ban), ban);
    for (const ban of lifted) bans.delete(banKey(ban));
    if (next) breaker = next;
  }

  /** With what is owed, which is older: a store that skipped it could not be told from one that was turned back. */
  async function write(changes: readonly Change[]): Promise<void> {
    const all = new Map(owed);
    for (const { key, value } of changes) all.set(key, value);
    await store.write([...all].map(([key, value]) => ({ key, value })));
    for (const key of all.keys()) owed.delete(key);
    failure = undefined;
  }

  async function writeOwed(): Promise<void> {
    try {
      await write([]);
    } catch (error) {
      failure = messageOf(error);
      if (!isDiskFull(error) || reserve?.release() !== true) return;
      await write([]).catch((again: unknown) => {
        failure = messageOf(again);
      });
    }
  }

  return {
    worker: (nodeId) => workers.get(nodeId),
    workers: () => [...workers.values()],
    presence: (nodeId) => presences.get(nodeId),
    bans: () => bans,
    breaker: () => breaker,

    save: (changes) =>
      oneByOne(async () => {
        await write(changesOf(changes));
        remember(changes);
      }),

    decide(changes) {
      remember(changes);
      for (const { key, value } of changesOf(changes)) owed.set(key, value);
      return oneByOne(writeOwed);
    },
    failure: () => (owed.size > 0 ? failure : undefined),

    forget: (nodeId) =>
      oneByOne(async () => {
        await write([{ key: workerKey(nodeId), value: undefined }]);
        workers.delete(nodeId);
        presences.delete(nodeId);
        unwritten.delete(nodeId);
      }),

    hear(nodeId, presence) {
      presences.set(nodeId, presence);
      unwritten.add(nodeId);
    },

    async flush() {
      if (owed.size > 0) await oneByOne(writeOwed);
      // Figures can wait: the room that is left is for lock-outs.
      if (reserve?.isSpent()) return;
      const due = [...unwritten];
      unwritten.clear();
      for (let start = 0; start < due.length; start += flushChunk) {
        const chunk = due.slice(start, start + flushChunk);
        const changes = () =>
          chunk.map((nodeId) => workers.get(nodeId)).filter((worker) => worker !== undefined);
        try {
          await oneByOne(() => write(changes().map(changeOf)));
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
