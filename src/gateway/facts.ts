import { type Clock, DaasError, type Log, messageOf } from '#base';
import type { ChainChanges, ChainPoint, ChainReader, ChangeFollower, Cluster, StakeRecord } from '#domain';
import { type ChainFacts, endedStake, examineStake, type StakeReason } from '#seal';
import { createBatcher } from './batcher.ts';
import type { StakeFact } from './decision.ts';
import { createDueTimes } from './due-times.ts';
import { createFactEntries, type FactEntry } from './fact-entries.ts';
import type { Registry } from './registry.ts';
import type { Worker } from './worker.ts';

/**
 * What is known of the chain, kept true by the cluster's change rings: a fact counts as confirmed at every reading of
 * the cluster object that does not name its record. What is named is read again at once, and once more a little later,
 * since the node that answers may lag behind the one that told of the change.
 */
export interface FactCache {
  /** Facts fit to decide on now; asks the chain if need be. Throws `DAAS_CHAIN_UNAVAILABLE`. */
  read(tokenId: string, nodeId: string, signal?: AbortSignal): Promise<ChainFacts>;
  /** Whether `read` would answer without asking the chain for this token. */
  knows(tokenId: string): boolean;
  /** What is known of a worker's stake, without asking anybody. */
  factOf(worker: Worker, goodAtMs: number | undefined): StakeFact;
  /** The stake record of a worker as last read, for the operator's eyes. */
  recordOf(worker: Worker): StakeRecord | undefined;
  /** When the chain was last heard, `undefined`: never. */
  heardAtMs(): number | undefined;
  cluster(): Cluster | undefined;
  /** Follows the chain until the signal aborts. `onChange` is told the node ids whose facts were read anew. */
  follow(onChange: (nodeIds: readonly string[]) => void, signal: AbortSignal): Promise<void>;
}

export interface FactCacheOptions {
  readonly chain: ChainReader;
  readonly follower: ChangeFollower;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Whose tokens are kept fresh. */
  readonly registry: Pick<Registry, 'workers' | 'workerOfToken' | 'onWorkerChange'>;
  /** 0 ≤ x < 1; spreads the readings over time. */
  readonly random: () => number;
}

/** The backstop: nothing is admitted on a fact that was read longer ago than this, whatever the rings say. */
export const FACT_LIFE_MS = 60_000;
/**
 * So many facts of workers that nothing was announced of are read again each second, the oldest first: each once within
 * `FACT_LIFE_MS` while there are few workers. Many at once would keep thread and chain busy for what the rings say already.
 */
export const REREADS_A_SECOND = 200;
/** Without a reading of the cluster object for this long, facts are of unknown freshness. */
export const FACT_FRESH_MS = 10_000;
/** A refusal is not kept longer: the token may have been minted, the stake topped up just now. */
export const REFUSAL_LIFE_MS = 1_000;
const pointLifeMs = 30_000;
const secondLookMs = 2_000;
const refreshTickMs = 1_000;
/** Facts of strangers' tokens, and announcements, kept at most. */
const mostEntries = 5_000;
/** How many facts are on their way at once. */
const readsAtOnce = 500;

export function createFactCache(options: FactCacheOptions): FactCache {
  const { chain, follower, clusterId, clock, log, registry, random } = options;
  const entries = createFactEntries((tokenId) => registry.workerOfToken(tokenId) !== undefined, mostEntries);
  /** Tokens of workers that were never read, or of which a change was announced. */
  const urgent = new Set<string>(registry.workers().map((worker) => worker.tokenId));
  /** Tokens of workers by when they are read again though nothing was announced. */
  const dueTimes = createDueTimes();
  /** The number of a record's last announced change: a reading begun before is not believed. */
  const announced = new Map<string, number>();
  let announcements = 0;
  const tokens = createBatcher((ids) => chain.tokens(ids));
  const records = createBatcher((ids) => chain.records(ids));
  let heardAtMs: number | undefined;
  let cluster: Cluster | undefined;
  let point: { readonly value: ChainPoint; readonly readAtMs: number } | undefined;
  let pointUnderway: Promise<ChainPoint> | undefined;

  const now = () => clock.monotonicMs();

  async function currentPoint(): Promise<ChainPoint> {
    if (point && now() - point.readAtMs < pointLifeMs) return point.value;
    pointUnderway ??= chain.point().finally(() => {
      pointUnderway = undefined;
    });
    const value = await pointUnderway;
    point = { value, readAtMs: now() };
    return value;
  }

  /** `knownRecordId`: for a token that may be gone. */
  async function load(tokenId: string, knownRecordId?: string): Promise<FactEntry> {
    for (;;) {
      const startedAtMs = now();
      const announcedBefore = announcements;
      const token = await tokens.get(tokenId);
      const recordId =
        token === undefined ? knownRecordId : token.cluster === clusterId ? token.stakeId : undefined;
      const record = recordId === undefined ? undefined : await records.get(recordId);
      if (recordId !== undefined && (announced.get(recordId) ?? 0) > announcedBefore) continue;
      const lookAgainAtMs = entries.get(tokenId)?.lookAgainAtMs;
      const entry: FactEntry = {
        token,
        record,
        readAtMs: startedAtMs,
        isDirty: false,
        lookAgainAtMs: lookAgainAtMs !== undefined && lookAgainAtMs > startedAtMs ? lookAgainAtMs : undefined,
      };
      entries.put(tokenId, entry);
      schedule(tokenId, entry);
      return entry;
    }
  }

  /** When a worker's token is read again. Spread over time: facts that were read together must not fall due together. */
  function schedule(tokenId: string, entry: FactEntry): void {
    if (!registry.workerOfToken(tokenId)) return;
    const spreadMs = FACT_LIFE_MS * (0.5 + random() / 2);
    dueTimes.set(tokenId, entry.lookAgainAtMs ?? entry.readAtMs + spreadMs);
  }

  registry.onWorkerChange((before, after) => {
    if (before?.tokenId === after?.tokenId) return;
    if (before) {
      urgent.delete(before.tokenId);
      dueTimes.delete(before.tokenId);
      entries.release(before.tokenId);
    }
    if (!after) return;
    const entry = entries.get(after.tokenId);
    if (entry && !entry.isDirty) schedule(after.tokenId, entry);
    else urgent.add(after.tokenId);
  });

  function confirmedAtMs(entry: FactEntry): number {
    return entry.isDirty ? entry.readAtMs : Math.max(entry.readAtMs, heardAtMs ?? 0);
  }

  function isUsable(entry: FactEntry, isGood: boolean): boolean {
    const ageMs = now() - entry.readAtMs;
    if (!isGood) return ageMs < REFUSAL_LIFE_MS && !entry.isDirty;
    return !entry.isDirty && ageMs < FACT_LIFE_MS && now() - confirmedAtMs(entry) < FACT_FRESH_MS;
  }

  function assemble(entry: FactEntry, at: { cluster: Cluster; point: ChainPoint }): ChainFacts {
    return { token: entry.token, record: entry.record, ...at };
  }

  async function surroundings(): Promise<{ cluster: Cluster; point: ChainPoint }> {
    const isFresh = cluster && heardAtMs !== undefined && now() - heardAtMs < FACT_FRESH_MS;
    const known = isFresh && cluster ? cluster : await chain.cluster();
    return { cluster: known, point: await currentPoint() };
  }

  function isGoodFor(facts: ChainFacts, nodeId: string): boolean {
    return facts.token !== undefined && examineStake(nodeId, facts) === undefined;
  }

  /** Everything that a report names, or everything there is. */
  function markChanged(report: ChainChanges): ReadonlySet<string> {
    const changed = new Set([...report.critical, ...report.others]);
    for (const record of changed) {
      announcements += 1;
      announced.delete(record);
      announced.set(record, announcements);
      records.forget(record);
    }
    for (const oldest of announced.keys()) {
      if (announced.size <= mostEntries) break;
      announced.delete(oldest);
    }
    if (report.isFullPassNeeded) for (const [tokenId, entry] of entries.all()) markDirty(tokenId, entry);
    else
      for (const record of changed)
        for (const tokenId of entries.ofRecord(record)) {
          const entry = entries.get(tokenId);
          if (entry) markDirty(tokenId, entry);
        }
    return changed;
  }

  function markDirty(tokenId: string, entry: FactEntry): void {
    entry.isDirty = true;
    entry.lookAgainAtMs = now() + secondLookMs;
    tokens.forget(tokenId);
    if (registry.workerOfToken(tokenId)) urgent.add(tokenId);
  }

  /** A token that was just minted is about to be shown to us: its facts are here before its holder is. */
  async function fetchAhead(changed: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const unknown = [...changed].filter((record) => entries.ofRecord(record).length === 0).slice(-50);
    for (const record of await Promise.all(unknown.map((id) => records.get(id)))) {
      if (signal.aborted) return;
      if (record?.status === 'active' && record.token !== undefined) await load(record.token);
    }
  }

  /** Reads anew what is due: what was announced, or never read, all of it; then of the rest what has become old. */
  async function refresh(onChange: (nodeIds: readonly string[]) => void): Promise<void> {
    const announcedNow = [...urgent];
    urgent.clear();
    const due = [...announcedNow, ...dueTimes.take(now(), REREADS_A_SECOND)];
    // Without an epoch no stake is known to be good.
    if (due.length > 0 || point === undefined) refreshPoint(onChange);
    const rest = due.values();
    const failures: unknown[] = [];
    let isAnswered = false;
    /** Each by itself: facts of others that hang or cannot be read must not keep a slash from being seen. */
    async function readSome(): Promise<void> {
      for (const tokenId of rest) {
        try {
          await readOfWorker(tokenId, onChange);
          isAnswered = true;
        } catch (error) {
          failures.push(error);
          urgent.add(tokenId);
          // So many questions without any answer: the chain is away, and the others are for the next look.
          if (!isAnswered && failures.length >= readsAtOnce) break;
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(readsAtOnce, due.length) }, readSome));
    for (const tokenId of rest) urgent.add(tokenId);
    if (failures.length > 0) throw failures[0];
  }

  async function readOfWorker(
    tokenId: string,
    onChange: (nodeIds: readonly string[]) => void,
  ): Promise<void> {
    const worker = registry.workerOfToken(tokenId);
    if (!worker) return;
    await load(tokenId, worker.recordId);
    onChange([worker.nodeId]);
  }

  /** An epoch that cannot be read keeps no ended stake from being seen; with the first one, all others can be judged. */
  function refreshPoint(onChange: (nodeIds: readonly string[]) => void): void {
    const isFirst = point === undefined;
    currentPoint().then(
      () => {
        if (isFirst) onChange(registry.workers().map((worker) => worker.nodeId));
      },
      (error: unknown) => log.warn('The epoch of the chain could not be read', { detail: messageOf(error) }),
    );
  }

  async function refreshLoop(
    onChange: (nodeIds: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      await tryRefresh(onChange);
      await clock.sleep(refreshTickMs, signal).catch(() => undefined);
    }
  }

  async function tryRefresh(onChange: (nodeIds: readonly string[]) => void): Promise<void> {
    try {
      await refresh(onChange);
    } catch (error) {
      log.warn('Facts of the chain could not be read', { detail: messageOf(error) });
    }
  }

  async function followLoop(
    onChange: (nodeIds: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<void> {
    for await (const report of follower.follow({ signal })) {
      if (report.kind === 'outage') {
        log.warn('The chain cannot be read', { failures: report.failures, detail: report.error.message });
        continue;
      }
      cluster = report.cluster;
      const changed = markChanged(report);
      // Only now: an entry that this report names must not look confirmed by it.
      heardAtMs = now();
      if (changed.size === 0 && !report.isFullPassNeeded) continue;
      // The next report, which may name a slash, waits for no reading: not for one that hangs, nor for strangers' tokens.
      void tryRefresh(onChange);
      void fetchAhead(changed, signal).catch((error: unknown) => {
        log.warn('Tokens could not be fetched ahead', { detail: messageOf(error) });
      });
    }
  }

  return {
    async read(tokenId, nodeId, signal) {
      signal?.throwIfAborted();
      const at = await surroundings();
      const known = entries.get(tokenId);
      if (known && isUsable(known, isGoodFor(assemble(known, at), nodeId))) return assemble(known, at);
      return assemble(
        await load(tokenId, known?.record?.id ?? registry.workerOfToken(tokenId)?.recordId),
        at,
      );
    },
    knows: (tokenId) => {
      const entry = entries.get(tokenId);
      return entry !== undefined && isUsable(entry, entry.token !== undefined);
    },
    factOf(worker, goodAtMs) {
      const entry = entries.get(worker.tokenId);
      // That a stake has ended is so whatever the epoch is: it is not waited for.
      const ended = entry?.record?.nodeId === worker.nodeId ? endedStake(entry.record) : undefined;
      if (ended) return { kind: 'bad', reason: ended };
      if (!entry || !cluster || !point) return unknownSince(goodAtMs, clock.nowMs());
      const judgement = judgeWorker(assemble(entry, { cluster, point: point.value }), worker);
      if (judgement === 'contradiction') return unknownSince(goodAtMs, clock.nowMs());
      if (judgement) return { kind: 'bad', reason: judgement };
      const ageMs = now() - confirmedAtMs(entry);
      return ageMs < FACT_FRESH_MS ? { kind: 'good' } : { kind: 'unknown', ageMs };
    },
    recordOf: (worker) => entries.get(worker.tokenId)?.record,
    heardAtMs: () => heardAtMs,
    cluster: () => cluster,
    async follow(onChange, signal) {
      const stop = new AbortController();
      const both = AbortSignal.any([signal, stop.signal]);
      const refreshing = refreshLoop(onChange, both);
      try {
        await followLoop(onChange, both);
        if (!signal.aborted)
          throw new DaasError('DAAS_CHAIN_FOLLOWER_ENDED', 'the chain is no longer followed');
      } finally {
        stop.abort();
        await refreshing;
      }
    },
  };
}

function unknownSince(goodAtMs: number | undefined, nowMs: number): StakeFact {
  return { kind: 'unknown', ageMs: goodAtMs === undefined ? Number.POSITIVE_INFINITY : nowMs - goodAtMs };
}

/**
 * What the chain says of a worker that was admitted once. `contradiction`: a reading that cannot be true. Records are
 * never deleted, and a token that its record still names exists: whoever says otherwise is behind, or lies, and that is
 * not the staker's guilt.
 */
export function judgeWorker(
  facts: ChainFacts,
  worker: Pick<Worker, 'nodeId' | 'tokenId'>,
): StakeReason | 'contradiction' | undefined {
  const { token, record } = facts;
  if (!record || record.nodeId !== worker.nodeId) return 'contradiction';
  const ended = endedStake(record);
  if (ended) return ended;
  if (token) return examineStake(worker.nodeId, facts);
  if (record.token === worker.tokenId) return 'contradiction';
  return record.token === undefined ? 'token_revoked' : 'token_superseded';
}
