import type { Change, Store, StoreNews } from '#state';
import { type Ban, banKey, settingBans, storedBan } from './bans.ts';
import type { BreakerState } from './breaker.ts';
import { type Claim, claimKey, storedClaim } from './claims.ts';
import type { DiskReserve } from './disk-reserve.ts';
import { emptyHistory, historyAfter, type NameHistory } from './name-history.ts';
import { createOrderedWrites, type OrderedWrites } from './ordered-writes.ts';
import {
  breakerKey,
  emptyMemory,
  learn,
  type Memory,
  momentKey,
  readAll,
  storedBreaker,
} from './registry-memory.ts';
import { historyKey, storedHistory } from './stored-history.ts';
import { toStored, workerKey } from './stored-worker.ts';
import type { LastHeartbeat, Worker } from './worker.ts';
import type { WorkerChange } from './worker-index.ts';

/**
 * What the gateway knows: in memory, and behind it the store. What admits counts only once it is written (`save`); what
 * locks out counts before it is written (`decide`); heartbeats count at once and are written at intervals (`flush`).
 */
export interface Registry {
  worker(nodeId: string): Worker | undefined;
  /** A copy of all workers: too slow for the path of a request. */
  workers(): readonly Worker[];
  workerOfToken(tokenId: string): Worker | undefined;
  /** How many are joining or members. */
  admittedCount(): number;
  /** Called at every change of a worker, once it counts. */
  onWorkerChange(listener: WorkerChange): void;
  /** Called at every ban and every ban that is lifted, once it counts. */
  onBanChange(listener: () => void): void;
  lastHeartbeat(nodeId: string): LastHeartbeat | undefined;
  bans(): ReadonlyMap<string, Ban>;
  /** Who held this name, and what was seen of it; kept when the worker is forgotten. */
  history(nodeId: string): NameHistory;
  /** Of all names that are remembered. */
  histories(): Iterable<NameHistory>;
  breaker(): BreakerState;
  /** Names that others have claimed at the k3s server. */
  claims(): ReadonlyMap<string, Claim>;
  /** When something last was, as far as it is remembered over restarts. */
  moment(name: Moment): number | undefined;
  /** One durable transaction. */
  save(changes: Decisions): Promise<void>;
  /**
   * Counts at once and is written as soon as it can be: a full disk gives up its reserve for it, and what still cannot
   * be written goes before every other write. Never rejects.
   */
  decide(changes: Decisions): Promise<void>;
  /** Why decisions that count already could not be written yet, if there are any. */
  failure(): string | undefined;
  /** Removes the worker: its name is free again. */
  forget(nodeId: string): Promise<void>;
  /** Keeps the figures of a heartbeat. A crash before the next flush loses them, which costs nothing but figures. */
  recordHeartbeat(nodeId: string, lastHeartbeat: LastHeartbeat): void;
  /** Writes what is owed, then the figures of heartbeats in chunks, between which other work gets the thread. */
  flush(): Promise<void>;
  /**
   * Takes over what another gateway has written, while that one leads.
   * @throws `DAAS_GATEWAY_STORE_DAMAGED`.
   */
  learn(news: StoreNews): void;
}

/**
 * Until when node passwords were watched without a gap; when claims of names may last have been missed; since when the
 * authorizer enforces.
 */
type Moment = 'passwords-watched' | 'names-unseen' | 'authorizer-enforced';

interface Decisions {
  readonly worker?: Worker;
  readonly bans?: readonly Ban[];
  readonly lifted?: ReadonlyArray<Pick<Ban, 'subject' | 'value'>>;
  readonly breaker?: BreakerState;
  /** In the place of what was remembered of a name; a worker's own part is added to it. */
  readonly history?: NameHistory;
  readonly claims?: readonly Claim[];
  /** Node ids. */
  readonly forgottenClaims?: readonly string[];
  /** Node ids whose histories are over. */
  readonly forgottenHistories?: readonly string[];
  /** `undefined` as a value: it is forgotten. */
  readonly moments?: Readonly<Partial<Record<Moment, number | undefined>>>;
}

const none: ReadonlySet<string> = new Set();
/** So few that computing and writing them holds the thread for less than 20 ms, the disk's part included (`bench/flush.ts`). */
const flushChunk = 50;

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`. */
export async function openRegistry(store: Store, reserve?: DiskReserve): Promise<Registry> {
  const memory = emptyMemory();
  await readAll(memory, await store.list('/'));
  const { workers, lastHeartbeats, bans, unwritten } = memory;
  const writes = createOrderedWrites(store, reserve);
  return {
    worker: (nodeId) => workers.get(nodeId),
    workers: () => workers.all(),
    workerOfToken: (tokenId) => workers.ofToken(tokenId),
    admittedCount: () => workers.admittedCount(),
    onWorkerChange: (listener) => workers.onChange(listener),
    onBanChange: (listener) => void memory.banListeners.push(listener),
    lastHeartbeat: (nodeId) => lastHeartbeats.get(nodeId),
    bans: () => bans,
    history: (nodeId) => historyIn(memory, nodeId),
    histories: () => memory.histories.values(),
    breaker: () => memory.breaker,
    claims: () => memory.claims,
    moment: (name) => memory.moments.get(name),
    save: (decisions) =>
      writes.save({
        changes: () => changesOf(memory, decisions),
        apply: (overtaken) => remember(memory, decisions, overtaken),
      }),
    decide(decisions) {
      const changes = changesOf(memory, decisions);
      remember(memory, decisions);
      return writes.owe(changes);
    },
    failure: () => writes.failure(),
    forget: (nodeId) =>
      writes.save({
        changes: () => [{ key: workerKey(nodeId), value: undefined }],
        apply: (overtaken) => forget(memory, nodeId, overtaken),
      }),
    recordHeartbeat(nodeId, lastHeartbeat) {
      lastHeartbeats.set(nodeId, lastHeartbeat);
      unwritten.add(nodeId);
    },
    async flush() {
      if (writes.hasOwed()) await writes.writeOwed();
      // Nobody else needs them: a worker that turns to another gateway registers there.
      if (!store.isLocal) unwritten.clear();
      // Figures can wait: the room that is left is for lock-outs.
      if (!reserve?.isSpent()) await flushHeartbeats(memory, writes);
    },
    learn: (news) => learn(memory, news),
  };
}

const historyIn = ({ histories }: Memory, nodeId: string): NameHistory =>
  histories.get(nodeId) ?? emptyHistory(nodeId);

/** The history of a name that these decisions change; `undefined` when they change none. */
function newHistory(memory: Memory, { worker, history }: Decisions): NameHistory | undefined {
  if (!worker) return history;
  const { nodeId } = worker;
  const after = historyAfter(history ?? historyIn(memory, nodeId), memory.workers.get(nodeId), worker);
  return after === memory.histories.get(nodeId) ? undefined : after;
}

function changesOf(memory: Memory, decisions: Decisions): readonly Change[] {
  const { worker, lifted = [], breaker } = decisions;
  const added = settingBans(memory.bans, decisions.bans ?? []);
  const { claims = [], forgottenClaims = [], forgottenHistories = [], moments = {} } = decisions;
  const history = newHistory(memory, decisions);
  return [
    ...forgottenHistories.map((nodeId) => ({ key: historyKey(nodeId), value: undefined })),
    ...forgottenClaims.map((nodeId) => ({ key: claimKey({ nodeId }), value: undefined })),
    ...claims.map((claim) => ({ key: claimKey(claim), value: storedClaim(claim) })),
    ...Object.entries(moments).map(([name, atMs]) => ({
      key: momentKey(name),
      value: atMs === undefined ? undefined : { at: atMs },
    })),
    ...(worker ? [changeOf(memory, worker)] : []),
    ...(history ? [{ key: historyKey(history.nodeId), value: storedHistory(history) }] : []),
    ...added.map((ban) => ({ key: banKey(ban), value: storedBan(ban) })),
    ...lifted.map((ban) => ({ key: banKey(ban), value: undefined })),
    ...(breaker ? [{ key: breakerKey, value: storedBreaker(breaker) }] : []),
  ];
}

function changeOf({ lastHeartbeats }: Memory, worker: Worker): Change {
  return { key: workerKey(worker.nodeId), value: toStored(worker, lastHeartbeats.get(worker.nodeId)) };
}

function remember(memory: Memory, decisions: Decisions, overtaken: ReadonlySet<string> = none): void {
  const { worker, lifted = [], breaker } = decisions;
  const { workers, bans, histories } = memory;
  const added = settingBans(bans, decisions.bans ?? []);
  const history = newHistory(memory, decisions);
  for (const nodeId of decisions.forgottenHistories ?? [])
    if (!overtaken.has(historyKey(nodeId))) histories.delete(nodeId);
  if (history && !overtaken.has(historyKey(history.nodeId))) histories.set(history.nodeId, history);
  if (worker && !overtaken.has(workerKey(worker.nodeId))) workers.set(worker);
  for (const ban of added) if (!overtaken.has(banKey(ban))) bans.set(banKey(ban), ban);
  for (const ban of lifted) if (!overtaken.has(banKey(ban))) bans.delete(banKey(ban));
  if (breaker && !overtaken.has(breakerKey)) memory.breaker = breaker;
  if (added.length + lifted.length > 0) for (const listener of memory.banListeners) listener();
  rememberClaims(memory, decisions, overtaken);
}

function rememberClaims(
  memory: Memory,
  { claims = [], forgottenClaims = [], moments = {} }: Decisions,
  overtaken: ReadonlySet<string>,
): void {
  for (const nodeId of forgottenClaims)
    if (!overtaken.has(claimKey({ nodeId }))) memory.claims.delete(nodeId);
  for (const claim of claims) if (!overtaken.has(claimKey(claim))) memory.claims.set(claim.nodeId, claim);
  for (const [name, atMs] of Object.entries(moments))
    if (atMs === undefined) memory.moments.delete(name);
    else memory.moments.set(name, atMs);
}

function forget(
  { workers, lastHeartbeats, unwritten }: Memory,
  nodeId: string,
  overtaken: ReadonlySet<string>,
): void {
  if (overtaken.has(workerKey(nodeId))) return;
  workers.delete(nodeId);
  lastHeartbeats.delete(nodeId);
  unwritten.delete(nodeId);
}

async function flushHeartbeats(memory: Memory, writes: OrderedWrites): Promise<void> {
  const { workers, unwritten } = memory;
  const due = [...unwritten];
  unwritten.clear();
  for (let start = 0; start < due.length; start += flushChunk) {
    const chunk = due.slice(start, start + flushChunk);
    try {
      await writes.refresh(() =>
        chunk
          .map((nodeId) => workers.get(nodeId))
          .filter((worker) => worker !== undefined)
          .map((worker) => changeOf(memory, worker)),
      );
    } catch (error) {
      for (const nodeId of due.slice(start)) unwritten.add(nodeId);
      throw error;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
