import { z } from 'zod';
import { ConfigurationError } from '#base';
import { type Ban, banKey, readBan, storedBan } from './bans.ts';
import { type BreakerState, idleBreaker } from './breaker.ts';
import { createCommitGroup } from './commit-group.ts';
import type { Change, Store } from './store.ts';
import { fromStored, type Presence, toStored, type Worker, workerKey } from './worker.ts';
import { createWorkerIndex, type WorkerChange } from './worker-index.ts';

/**
 * What the gateway knows, in memory, and behind it the store. Decisions are written before they count; heartbeats count
 * at once and are written now and then (`flush`).
 */
export interface Registry {
  worker(nodeId: string): Worker | undefined;
  /** All of them, copied: not for the path of a request. */
  workers(): readonly Worker[];
  workerOfToken(tokenId: string): Worker | undefined;
  /** How many are joining or members. */
  admittedCount(): number;
  /** Is told of every change of a worker, once it is durable. */
  onWorkerChange(listener: WorkerChange): void;
  presence(nodeId: string): Presence | undefined;
  bans(): ReadonlyMap<string, Ban>;
  breaker(): BreakerState;
  /** One durable transaction. */
  save(changes: Decisions): Promise<void>;
  /** The name is free again. */
  forget(nodeId: string): Promise<void>;
  /** Takes a heartbeat; forgotten by a crash before the next flush, which costs nothing but figures. */
  hear(nodeId: string, presence: Presence): void;
  /** Writes what was heard, in chunks that let others have the thread in between. */
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

export async function openRegistry(store: Store): Promise<Registry> {
  const workers = createWorkerIndex();
  const presences = new Map<string, Presence>();
  const bans = new Map<string, Ban>();
  const unwritten = new Set<string>();
  for (const [key, value] of await store.list('/workers/')) {
    const { worker, presence } = fromStored(key, value);
    workers.set(worker);
    if (presence) presences.set(worker.nodeId, presence);
  }
  for (const [key, value] of await store.list('/bans/')) bans.set(key, readBan(key, value));
  let breaker = readBreaker(await store.read(breakerKey));
  const commits = createCommitGroup((changes) => store.write(changes));

  function changeOf(worker: Worker): Change {
    return { key: workerKey(worker.nodeId), value: toStored(worker, presences.get(worker.nodeId)) };
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

    save: ({ worker, bans: added = [], lifted = [], breaker: next }) =>
      commits.add({
        changes: () => [
          ...(worker ? [changeOf(worker)] : []),
          ...added.map((ban) => ({ key: banKey(ban), value: storedBan(ban) })),
          ...lifted.map((ban) => ({ key: banKey(ban), value: undefined })),
          ...(next ? [{ key: breakerKey, value: storedBreaker(next) }] : []),
        ],
        apply() {
          if (worker) workers.set(worker);
          for (const ban of added) bans.set(banKey(ban), ban);
          for (const ban of lifted) bans.delete(banKey(ban));
          if (next) breaker = next;
        },
      }),

    forget: (nodeId) =>
      commits.add({
        changes: () => [{ key: workerKey(nodeId), value: undefined }],
        apply() {
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
