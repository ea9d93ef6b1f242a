import type { Clock, Log } from '#base';
import type { ChainReader, ChangeFollower, Cluster, SealToken, StakeRecord } from '#domain';
import { type Batcher, createBatcher } from './batcher.ts';
import { type ChainPointReader, createChainPointReader } from './chain-point.ts';
import { createDueTimes, type DueTimes } from './due-times.ts';
import { createFactEntries, type FactEntries } from './fact-entries.ts';
import type { Registry } from './registry.ts';

/** The backstop: nothing is admitted on a fact that was read longer ago than this, whatever the rings say. */
export const FACT_LIFE_MS = 60_000;
/** Without a reading of the cluster object for this long, it is unknown whether facts are fresh. */
export const FACT_FRESH_MS = 10_000;
/** A refusal is kept no longer: the token may just have been minted, the stake topped up. */
export const REFUSAL_LIFE_MS = 1_000;
/** Facts of strangers' tokens, and announcements, kept at most. */
export const MOST_ENTRIES = 5_000;

export interface FactCacheOptions {
  readonly chain: ChainReader;
  readonly follower: ChangeFollower;
  readonly clusterId: string;
  /** What `chain` reads is held to the validators’ signatures. */
  readonly isProven?: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** The workers whose tokens are kept fresh. */
  readonly registry: Pick<Registry, 'workers' | 'workerOfToken' | 'onWorkerChange'>;
  /** 0 ≤ x < 1; spreads the readings over time. */
  readonly random: () => number;
}

/** What every part of the fact cache works with. */
export interface FactContext extends FactCacheOptions {
  readonly entries: FactEntries;
  /** Tokens of workers that were never read, or of which a change was announced. */
  readonly urgent: Set<string>;
  /** Tokens of workers by when they are read again although nothing was announced. */
  readonly dueTimes: DueTimes;
  /** The number of a record's last announced change: a reading that began before is not believed. */
  readonly announced: Map<string, number>;
  /** How many changes were announced. */
  announcements: number;
  readonly tokens: Batcher<SealToken>;
  readonly records: Batcher<StakeRecord>;
  readonly point: ChainPointReader;
  /** The chain was asked for its epoch and has not answered yet. */
  isPointAwaited: boolean;
  /** When the cluster object was last read, by the monotonic clock. */
  heardAtMs: number | undefined;
  cluster: Cluster | undefined;
}

export function createFactContext(options: FactCacheOptions): FactContext {
  const { chain, clock, registry, random } = options;
  return {
    ...options,
    entries: createFactEntries((tokenId) => registry.workerOfToken(tokenId) !== undefined, MOST_ENTRIES),
    urgent: new Set(registry.workers().map((worker) => worker.tokenId)),
    dueTimes: createDueTimes(),
    announced: new Map(),
    announcements: 0,
    tokens: createBatcher({ load: (ids) => chain.tokens(ids), random }),
    records: createBatcher({ load: (ids) => chain.records(ids), random }),
    point: createChainPointReader(chain, clock),
    isPointAwaited: false,
    heardAtMs: undefined,
    cluster: undefined,
  };
}
