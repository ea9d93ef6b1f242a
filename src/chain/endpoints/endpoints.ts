import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { type Backoff, backoffDelayMs, type Clock, ConfigurationError, DaasError } from '#base';
import { choose, type EndpointState, hedgeDelayMs, releasedAtMs, stateOf } from './choose.ts';
import { type Endpoint, type EndpointOptions, openEndpoint } from './endpoint.ts';
import { allFailed, blockedByNode } from './endpoint-errors.ts';
import { afterFailure, afterSuccess, afterTip, type Health, p95Ms, type Tip, UNKNOWN } from './health.ts';
import type { EndpointSettings } from './node-fetch.ts';

/** A full node by its URL, or with what belongs to that node alone. */
export type EndpointAddress = string | EndpointSettings;

export interface EndpointsOptions extends Omit<EndpointOptions, 'onReply'> {
  readonly clock: Clock;
  /** How long a failing read is retried; 0: each endpoint is asked once. */
  readonly retryForMs?: number;
  readonly random?: () => number;
}

/** What one endpoint is worth now, for people and metrics. */
export interface EndpointStatus {
  readonly url: string;
  readonly state: EndpointState;
  /** The chain it named last. */
  readonly chainId: string | undefined;
  readonly checkpointHeight: bigint | undefined;
  /** The oldest checkpoint that it still has. */
  readonly lowestCheckpointHeight: bigint | undefined;
  readonly lagMs: number;
  readonly latencyP95Ms: number | undefined;
  readonly calls: number;
  readonly failures: number;
  /** How long it is not asked, because it said so. */
  readonly blockedForMs: number;
  /** What it served that the validators did not sign. */
  readonly contradiction: string | undefined;
}

/**
 * Several full nodes. A read goes to the best of them and stays with it while it is good: its own failures, its lag behind
 * the others and what it asks for (`Retry-After`) decide. A read that takes longer than usual is sent to a second one too.
 */
export interface Endpoints {
  readonly all: readonly Endpoint[];
  read<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  /** As `read`, for several calls that must see the state of one node. The body only reads: it may run twice at once. */
  readFromOne<T>(
    body: (endpoint: Endpoint, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  /** One endpoint at a time; `retryForMs` replaces that of the options. */
  withOne<T>(body: (endpoint: Endpoint) => Promise<T>, signal?: AbortSignal, retryForMs?: number): Promise<T>;
  /** Up to three endpoints at once: the first final result, else the last that is not. Retried as `withOne`. */
  withSeveral<T>(
    body: (endpoint: Endpoint) => Promise<T>,
    isFinal: (result: T) => boolean,
    signal?: AbortSignal,
    retryForMs?: number,
  ): Promise<T>;
  /**
   * Asks every other endpoint that may be asked now, each by itself. What it says of an endpoint counts as any call does;
   * reads stay where they are. Returns the results there are; failures are left out.
   */
  aside<T>(except: string | undefined, body: (endpoint: Endpoint) => Promise<T>): Promise<readonly T[]>;
  /** Says that an endpoint served what the validators did not sign. It is not asked again while another is there. */
  drop(url: string, contradiction: string): void;
  status(): EndpointStatus[];
}

const RETRY: Backoff = { baseMs: 100, maxMs: 2_000 };
const MOST_AT_ONCE = 3;

export function openEndpoints(addresses: readonly EndpointAddress[], options: EndpointsOptions): Endpoints {
  if (addresses.length === 0)
    throw new ConfigurationError(
      'DAAS_ENDPOINT_MISSING',
      'no Sui full node is named: set chain.endpoints, or pass --endpoint',
    );
  const pool = openPool(addresses, options);
  const readFromOne: Endpoints['readFromOne'] = (body, signal) =>
    inRounds(pool, (order) => hedged(pool, order, body, signal), signal);
  return {
    all: pool.members.map(({ endpoint }) => endpoint),
    readFromOne,
    read: (what, body, signal) => readFromOne((endpoint, ended) => endpoint.call(what, body, ended), signal),
    withOne: (body, signal, retryForMs) =>
      inRounds(pool, (order) => oneByOne(pool, order, body, signal), signal, retryForMs),
    withSeveral: (body, isFinal, signal, retryForMs) =>
      inRounds(pool, (order) => atOnce(pool, order, body, isFinal), signal, retryForMs),
    aside: (except, body) => askAside(pool, except, body),
    drop: (url, contradiction) => {
      for (const member of pool.members)
        if (member.endpoint.url === url && member.health.contradiction === undefined)
          member.health = { ...member.health, contradiction };
    },
    status: () => pool.members.map((member) => statusOf(member, pool.options.clock.monotonicMs())),
  };
}

interface Member {
  readonly endpoint: Endpoint;
  health: Health;
}

interface Pool {
  readonly options: EndpointsOptions & { readonly random: () => number };
  readonly members: readonly Member[];
  /** The one that answered last. */
  preferred: number;
  /** The newest checkpoint that any of them named. */
  newest: Tip | undefined;
}

function openPool(addresses: readonly EndpointAddress[], options: EndpointsOptions): Pool {
  const { random = Math.random, clock } = options;
  const members: Member[] = addresses.map((address) => {
    const member: { health: Health } = { health: UNKNOWN };
    const endpoint = openEndpoint(typeof address === 'string' ? { url: address } : address, {
      ...options,
      onReply: (tip) => {
        member.health = afterTip(member.health, tip, pool.newest, {
          nowMs: clock.monotonicMs(),
          timeMs: clock.nowMs(),
        });
        if (pool.newest === undefined || tip.height > pool.newest.height) pool.newest = tip;
      },
    });
    return Object.assign(member, { endpoint });
  });
  const pool: Pool = { options: { ...options, random }, members, preferred: 0, newest: undefined };
  return pool;
}

/** Rounds over the endpoints until one succeeds or the time is over. What is not retryable ends it at once. */
async function inRounds<T>(
  pool: Pool,
  round: (order: readonly number[]) => Promise<T>,
  signal?: AbortSignal,
  retryForMs = pool.options.retryForMs ?? 0,
): Promise<T> {
  const { clock, random } = pool.options;
  const giveUpAtMs = clock.monotonicMs() + retryForMs;
  for (let attempt = 0; ; attempt += 1) {
    const healths = pool.members.map(({ health }) => health);
    const order = choose(healths, pool.preferred, clock.monotonicMs());
    let failure: unknown;
    try {
      if (order.length > 0) return await round(order);
      failure = blockedByNode(pool.members.map(({ endpoint }) => endpoint.url));
    } catch (error) {
      signal?.throwIfAborted();
      if (!isRetryable(error)) throw error;
      failure = error;
    }
    const backoffMs = backoffDelayMs(attempt, RETRY, random);
    const isBlocked =
      choose(
        pool.members.map(({ health }) => health),
        0,
        clock.monotonicMs(),
      ).length === 0;
    const released = releasedAtMs(pool.members.map(({ health }) => health)) - clock.monotonicMs();
    const delayMs = isBlocked ? Math.max(backoffMs, released) : backoffMs;
    if (clock.monotonicMs() + delayMs > giveUpAtMs) throw failure;
    await clock.sleep(delayMs, signal);
  }
}

async function askAside<T>(
  pool: Pool,
  except: string | undefined,
  body: (endpoint: Endpoint) => Promise<T>,
): Promise<readonly T[]> {
  const healths = pool.members.map(({ health }) => health);
  const others = choose(healths, pool.preferred, pool.options.clock.monotonicMs()).filter(
    (index) => pool.members[index]?.endpoint.url !== except,
  );
  const outcomes = await Promise.allSettled(others.map((index) => ask(pool, index, body)));
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
}

/** Of the node or the way to it; what the chain does not have yet is nobody's fault. */
const isEndpointsFault = (error: unknown) =>
  error instanceof DaasError &&
  (error.code === 'DAAS_CHAIN_UNAVAILABLE' || error.code === 'DAAS_ENDPOINT_KEY_NEEDED');

const isRetryable = (error: unknown) => error instanceof DaasError && error.isRetryable;

async function oneByOne<T>(
  pool: Pool,
  order: readonly number[],
  body: (endpoint: Endpoint) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const failures: unknown[] = [];
  for (const index of order) {
    try {
      const result = await ask(pool, index, body);
      pool.preferred = index;
      return result;
    } catch (error) {
      signal?.throwIfAborted();
      if (!isRetryable(error)) throw error;
      failures.push(error);
    }
  }
  throw allFailed(failures);
}

/** Asks the next endpoint when one fails or takes longer than it usually does; the first reply counts. */
async function hedged<T>(
  pool: Pool,
  order: readonly number[],
  body: (endpoint: Endpoint, signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { clock, timeoutMs } = pool.options;
  const settled = new AbortController();
  const ended = AbortSignal.any(signal ? [signal, settled.signal] : [settled.signal]);
  const running = new Map<
    number,
    Promise<{ readonly index: number; readonly result?: T; readonly error?: unknown }>
  >();
  const waiting = [...order];
  const start = () => {
    const index = waiting.shift();
    if (index === undefined) return;
    running.set(
      index,
      ask(
        pool,
        index,
        (endpoint) => body(endpoint, ended),
        () => settled.signal.aborted,
      ).then(
        (result) => ({ index, result }),
        (error: unknown) => ({ index, error }),
      ),
    );
  };
  try {
    const failures: unknown[] = [];
    for (start(); running.size > 0; ) {
      const last = [...running.keys()].at(-1) as number;
      const delayMs = hedgeDelayMs((pool.members[last] as Member).health, timeoutMs);
      const late =
        waiting.length > 0
          ? clock.sleep(delayMs, ended).then(
              () => 'late' as const,
              () => 'late' as const,
            )
          : undefined;
      const first = await Promise.race(late ? [...running.values(), late] : [...running.values()]);
      signal?.throwIfAborted();
      if (first === 'late') start();
      else if (!('error' in first)) {
        pool.preferred = first.index;
        return first.result as T;
      } else {
        if (!isRetryable(first.error)) throw first.error;
        failures.push(first.error);
        running.delete(first.index);
        if (running.size === 0) start();
      }
    }
    throw allFailed(failures);
  } finally {
    settled.abort(new Error('another endpoint has answered'));
  }
}

async function atOnce<T>(
  pool: Pool,
  order: readonly number[],
  body: (endpoint: Endpoint) => Promise<T>,
  isFinal: (result: T) => boolean,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const outcomes = order.slice(0, MOST_AT_ONCE).map(async (index) => {
    const result = await ask(pool, index, body);
    pool.preferred = index;
    if (isFinal(result)) resolve(result);
    return result;
  });
  void Promise.allSettled(outcomes).then((all) => {
    const done = all.find((outcome) => outcome.status === 'fulfilled');
    if (done) return resolve(done.value);
    const errors = all.map((outcome) => (outcome as PromiseRejectedResult).reason as unknown);
    reject(errors.find((error) => !isRetryable(error)) ?? allFailed(errors));
  });
  return promise;
}

/** One call, and what it says about the endpoint. `isCancelled`: the caller has what it needs, a failure says nothing. */
async function ask<T>(
  pool: Pool,
  index: number,
  body: (endpoint: Endpoint) => Promise<T>,
  isCancelled: () => boolean = () => false,
): Promise<T> {
  const { clock, random } = pool.options;
  const member = pool.members[index] as Member;
  const startedAtMs = clock.monotonicMs();
  try {
    const result = await body(member.endpoint);
    member.health = afterSuccess(member.health, clock.monotonicMs() - startedAtMs);
    return result;
  } catch (error) {
    if (!isCancelled() && isEndpointsFault(error)) {
      const nowMs = clock.monotonicMs();
      const { retryAfterMs } = (error as DaasError).details;
      member.health = afterFailure(
        member.health,
        { nowMs, retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : undefined },
        random,
      );
    }
    throw error;
  }
}

function statusOf({ endpoint, health }: Member, nowMs: number): EndpointStatus {
  return {
    url: endpoint.url,
    state: stateOf(health, nowMs),
    chainId: endpoint.servedChainId,
    checkpointHeight: health.tip?.height,
    lowestCheckpointHeight: health.tip?.lowestHeight,
    lagMs: health.lagMs,
    latencyP95Ms: p95Ms(health),
    calls: health.calls,
    failures: health.failures,
    blockedForMs: Math.max(0, Math.round(health.blockedUntilMs - nowMs)),
    contradiction: health.contradiction,
  };
}
