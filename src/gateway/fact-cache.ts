import { DaasError } from '#base';
import type { ChainPoint, Cluster, SealToken, StakeRecord } from '#domain';
import { type ChainFacts, endedStake, type StakeReason } from '#seal';
import type { StakeFact } from './decision.ts';
import { createFactContext, FACT_FRESH_MS, type FactCacheOptions, type FactContext } from './fact-context.ts';
import type { FactEntry } from './fact-entries.ts';
import {
  isGoodFor,
  isGoodPerson,
  isOwnAct,
  judgeWorker,
  proposedUntilMs,
  unknownSince,
} from './fact-judgement.ts';
import { confirmedAtMs, isUsable, loadFacts, takeWorkerChange } from './fact-loading.ts';
import { type FactListener, followLoop, refreshLoop } from './fact-refresh.ts';
import type { Worker } from './worker.ts';

/**
 * What is known of the chain, kept true by the cluster's change rings: a fact counts as confirmed at every reading of the
 * cluster object that does not name its record. What is named is read again at once, and once more a little later, since
 * the node that answers may lag behind the one that announced the change.
 */
export interface FactCache {
  /**
   * Facts fresh enough to decide on; asks the chain if need be.
   * @throws `DAAS_CHAIN_UNAVAILABLE`.
   */
  read(tokenId: string, nodeId: string, signal?: AbortSignal): Promise<ChainFacts>;
  /** The same for the token of a person's stake. */
  readPerson(tokenId: string, wallet: string): Promise<ChainFacts>;
  /** What was last read of such a token and is not known to have changed, however old it is; asks nobody. */
  rememberedPerson(tokenId: string): { readonly facts: ChainFacts; readonly ageMs: number } | undefined;
  /** The key that this token names, if it was ever read: it never names another one. */
  holderKeyOf(tokenId: string): Uint8Array | undefined;
  /** Whether `read` would answer without asking the chain for this token. */
  knows(tokenId: string): boolean;
  /** A worker's stake, from memory. `goodAtMs`: when it was last known to be good. */
  factOf(worker: Worker, goodAtMs: number | undefined): StakeFact;
  /** The stake record of a worker as last read, for the operator. */
  recordOf(worker: Worker): StakeRecord | undefined;
  /** Until when an open slash proposal is backed by a slasher in force; `undefined`: none is open. */
  proposedUntilMs(worker: Worker): number | undefined;
  /** What was last read of a worker's token and record, and since when it is confirmed; for the operator. */
  readingOf(worker: Worker): FactReading | undefined;
  /** When the chain was last heard, by the monotonic clock; `undefined`: never. */
  heardAtMs(): number | undefined;
  cluster(): Cluster | undefined;
  /** Follows the chain until the signal aborts. */
  follow(listener: FactListener, signal: AbortSignal): Promise<void>;
}

interface FactReading {
  readonly token: SealToken | undefined;
  readonly record: StakeRecord | undefined;
  readonly ageMs: number;
}

/** The cluster object and the epoch that a fact is judged by. */
interface ClusterContext {
  readonly cluster: Cluster;
  readonly point: ChainPoint;
}

export function createFactCache(options: FactCacheOptions): FactCache {
  const context = createFactContext(options);
  const { entries, registry } = context;
  registry.onWorkerChange((before, after) => takeWorkerChange(context, before, after));
  return {
    read: (tokenId, nodeId, signal) => read(context, tokenId, (facts) => isGoodFor(facts, nodeId), signal),
    readPerson: (tokenId, wallet) => read(context, tokenId, (facts) => isGoodPerson(facts, wallet)),
    rememberedPerson: (tokenId) => remembered(context, tokenId),
    holderKeyOf: (tokenId) => entries.get(tokenId)?.token?.holderKey,
    knows: (tokenId) => {
      const entry = entries.get(tokenId);
      return entry !== undefined && isUsable(context, entry, entry.token !== undefined);
    },
    factOf: (worker, goodAtMs) => factOf(context, worker, goodAtMs),
    recordOf: (worker) => entries.get(worker.tokenId)?.record,
    proposedUntilMs: ({ tokenId }) => {
      const { entries, cluster, clock } = context;
      const record = entries.get(tokenId)?.record;
      return record && cluster && proposedUntilMs(record, cluster, clock.nowMs());
    },
    readingOf: (worker) => readingOf(context, worker),
    heardAtMs: () => context.heardAtMs,
    cluster: () => context.cluster,
    follow: (listener, signal) => follow(context, listener, signal),
  };
}

async function read(
  context: FactContext,
  tokenId: string,
  isGood: (facts: ChainFacts) => boolean,
  signal?: AbortSignal,
): Promise<ChainFacts> {
  signal?.throwIfAborted();
  const { entries, registry } = context;
  const at = await clusterContext(context);
  const known = entries.get(tokenId);
  if (known) {
    const facts = factsOf(known, at);
    if (isUsable(context, known, isGood(facts))) return facts;
  }
  const recordId = known?.record?.id ?? registry.workerOfToken(tokenId)?.recordId;
  return factsOf(await loadFacts(context, tokenId, recordId), at);
}

function remembered(context: FactContext, tokenId: string): ReturnType<FactCache['rememberedPerson']> {
  const { entries, cluster, clock } = context;
  const entry = entries.get(tokenId);
  const point = context.point.known();
  if (!entry || entry.isDirty || !cluster || !point) return undefined;
  return {
    facts: factsOf(entry, { cluster, point }),
    ageMs: clock.monotonicMs() - confirmedAtMs(context, entry),
  };
}

async function clusterContext(context: FactContext): Promise<ClusterContext> {
  const { cluster, heardAtMs, clock, chain, point } = context;
  const isFresh = heardAtMs !== undefined && clock.monotonicMs() - heardAtMs < FACT_FRESH_MS;
  return {
    cluster: cluster && isFresh ? cluster : await chain.cluster(),
    point: await point.current(),
  };
}

function factsOf({ token, record }: FactEntry, at: ClusterContext): ChainFacts {
  return { token, record, ...at };
}

function factOf(context: FactContext, worker: Worker, goodAtMs: number | undefined): StakeFact {
  const { entries, cluster, clock } = context;
  const entry = entries.get(worker.tokenId);
  // A stake that has ended is ended whatever the epoch is, which is not waited for.
  const ended = entry?.record?.nodeId === worker.nodeId ? endedStake(entry.record) : undefined;
  if (ended) return badFact(context, ended, worker.recordId);
  const point = context.point.known();
  if (!entry || !cluster || !point) return unknownSince(goodAtMs, clock.nowMs());
  const judgement = judgeWorker(factsOf(entry, { cluster, point }), worker);
  if (judgement === 'contradiction') return unknownSince(goodAtMs, clock.nowMs());
  if (judgement) return badFact(context, judgement, worker.recordId);
  const ageMs = clock.monotonicMs() - confirmedAtMs(context, entry);
  return ageMs < FACT_FRESH_MS ? { kind: 'good' } : { kind: 'unknown', ageMs };
}

function readingOf(context: FactContext, { tokenId }: Worker): FactReading | undefined {
  const entry = context.entries.get(tokenId);
  if (!entry) return undefined;
  const ageMs = context.clock.monotonicMs() - confirmedAtMs(context, entry);
  return { token: entry.token, record: entry.record, ageMs };
}

function badFact(
  { isProven = false, cluster }: FactContext,
  reason: StakeReason,
  recordId: string,
): StakeFact {
  const isCertain = isProven && cluster !== undefined && isOwnAct(reason, recordId, cluster);
  return { kind: 'bad', reason, ...(isCertain && { isCertain }) };
}

async function follow(context: FactContext, listener: FactListener, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const refreshing = refreshLoop(context, listener, both);
  try {
    await followLoop(context, listener, both);
    if (!signal.aborted) throw new DaasError('DAAS_CHAIN_FOLLOWER_ENDED', 'the chain is no longer followed');
  } finally {
    stop.abort();
    await refreshing;
  }
}
