import { aborted, type Clock, DaasError } from '#base';
import { base64, type EtcdClient, fromBase64, numberIn, rangedKeysIn } from './etcd-client.ts';
import type { Leadership } from './leadership.ts';

/** Leadership by a key that exists as long as a lease is renewed. */
export interface EtcdLeadership extends Leadership, AsyncDisposable {
  /**
   * The revision at which this gateway's key was made: every write names it, and one of an earlier or a lost leadership
   * fails at etcd. `undefined`: it does not lead.
   */
  term(): number | undefined;
  /** etcd has refused a write of this term. */
  noteLoss(): void;
  readonly key: string;
}

export interface EtcdLeadershipOptions {
  readonly client: EtcdClient;
  /** The key in etcd. */
  readonly key: string;
  /** This gateway, for the others. */
  readonly name: string;
  readonly leaseSeconds: number;
  readonly clock: Clock;
  /** False: it only reads. True unless given. */
  readonly isCandidate?: boolean | undefined;
}

interface Standing extends EtcdLeadershipOptions {
  readonly stop: AbortController;
  readonly elected: PromiseWithResolvers<void>;
  readonly lost: PromiseWithResolvers<never>;
  lease: Lease | undefined;
  term: number | undefined;
  isLost: boolean;
  leader: string | undefined;
}

interface Lease {
  readonly id: string;
  /** By the monotonic clock, which stands still while the machine sleeps, and by the time of day, which may be set. */
  untilMs: number;
  untilWallMs: number;
}

const pauseMs = 1_000;
/** Nobody hears of the end of a lease sooner than that if the watch is silent. */
const lookEveryMs = 2_000;

/** Stands for election at once if it may, and renews what it has won until it is disposed of. */
export function standInEtcd(options: EtcdLeadershipOptions): EtcdLeadership {
  const standing: Standing = {
    ...options,
    stop: new AbortController(),
    elected: Promise.withResolvers(),
    lost: Promise.withResolvers(),
    lease: undefined,
    term: undefined,
    isLost: false,
    leader: undefined,
  };
  standing.elected.promise.catch(() => undefined);
  standing.lost.promise.catch(() => undefined);
  const { isCandidate = true } = options;
  const ended = (isCandidate ? stand(standing) : Promise.resolve()).catch((error: unknown) => {
    if (!standing.stop.signal.aborted) standing.lost.reject(error);
  });
  return {
    key: options.key,
    term: () => (isLeading(standing) ? standing.term : undefined),
    isLeading: () => isLeading(standing),
    leader: () => standing.leader,
    noteLoss: () => lose(standing),
    async untilLeading(signal) {
      await Promise.race([standing.elected.promise, aborted(signal)]);
      signal.throwIfAborted();
    },
    run: (signal) => Promise.race([standing.lost.promise, aborted(signal)]),
    async [Symbol.asyncDispose]() {
      standing.stop.abort(new Error('the gateway is stopping'));
      await ended;
      await resign(standing);
    },
  };
}

function isLeading({ term, isLost, lease, clock }: Standing): boolean {
  return (
    term !== undefined &&
    !isLost &&
    lease !== undefined &&
    clock.monotonicMs() < lease.untilMs &&
    clock.nowMs() < lease.untilWallMs
  );
}

function lose(standing: Standing): void {
  if (standing.isLost) return;
  standing.isLost = true;
  standing.lost.reject(notLeading(standing.leader));
}

export function notLeading(leader: string | undefined): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_NOT_LEADING',
    `this gateway does not lead${leader === undefined ? '' : ` (${leader} does)`}: it changes nothing`,
    { isRetryable: true },
  );
}

async function stand(standing: Standing): Promise<void> {
  const { stop, clock } = standing;
  while (!stop.signal.aborted) {
    try {
      if (await campaign(standing)) return await renew(standing);
      await untilFree(standing);
    } catch (error) {
      if (stop.signal.aborted || standing.isLost) throw error;
      // etcd is away. A lease that was granted ends by itself.
      await clock.sleep(pauseMs, stop.signal);
    }
  }
}

/** The key is put if nobody has it. */
async function campaign(standing: Standing): Promise<boolean> {
  const { client, key, name, clock, stop } = standing;
  const lease = (await aliveLease(standing)) ?? (await newLease(standing));
  standing.lease = lease;
  const reply = await client.call(
    '/v3/kv/txn',
    {
      compare: [{ target: 'CREATE', result: 'EQUAL', key: base64(key), create_revision: '0' }],
      success: [{ request_put: { key: base64(key), value: base64(name), lease: lease.id } }],
      failure: [{ request_range: { key: base64(key) } }],
    },
    { signal: stop.signal },
  );
  if (reply.succeeded !== true) {
    const [found] = rangedKeysIn(reply);
    // The answer to an earlier attempt was lost.
    if (found?.lease !== lease.id) {
      standing.leader = found && fromBase64(found.value);
      return false;
    }
    standing.term = numberIn(found.create_revision);
  } else standing.term = numberIn((reply.header as { revision?: string }).revision);
  standing.leader = name;
  if (clock.monotonicMs() >= lease.untilMs) return false;
  standing.elected.resolve();
  return true;
}

async function newLease({ client, leaseSeconds, clock, stop }: Standing): Promise<Lease> {
  const [atMs, wallMs] = [clock.monotonicMs(), clock.nowMs()];
  const { ID } = await client.call('/v3/lease/grant', { TTL: String(leaseSeconds) }, { signal: stop.signal });
  const id = String(ID);
  const lifeMs = lifeOf(leaseSeconds);
  return { id, untilMs: atMs + lifeMs, untilWallMs: wallMs + lifeMs };
}

/** A fifth less than etcd's: the last write that begins in time ends in time. */
const lifeOf = (leaseSeconds: number) => leaseSeconds * 800;

/** Renews the lease that there is, from the moment the question was sent. `undefined`: it has ended. */
async function aliveLease(standing: Standing): Promise<Lease | undefined> {
  const { lease, client, clock, leaseSeconds, stop } = standing;
  if (!lease) return undefined;
  const [atMs, wallMs] = [clock.monotonicMs(), clock.nowMs()];
  const { result } = (await client.call(
    '/v3/lease/keepalive',
    { ID: lease.id },
    { signal: stop.signal },
  )) as { result?: { TTL?: string } };
  if (numberIn(result?.TTL) <= 0) return undefined;
  lease.untilMs = atMs + lifeOf(leaseSeconds);
  lease.untilWallMs = wallMs + lifeOf(leaseSeconds);
  return lease;
}

async function renew(standing: Standing): Promise<void> {
  const { clock, stop, leaseSeconds } = standing;
  const everyMs = (leaseSeconds * 1_000) / 5;
  while (!stop.signal.aborted) {
    await clock.sleep(Math.min(everyMs, pauseMs * 3), stop.signal).catch(() => undefined);
    if (stop.signal.aborted) return;
    const isAlive = await aliveLease(standing).then(
      (lease) => lease !== undefined,
      // etcd is away: the lease may be renewed yet.
      () => isLeading(standing),
    );
    if (!isAlive || !isLeading(standing)) return lose(standing);
  }
}

/** Until the key of the one who leads has gone, or some time has passed. */
async function untilFree({ client, key, clock, stop }: Standing): Promise<void> {
  const look = new AbortController();
  const signal = AbortSignal.any([stop.signal, look.signal]);
  const gone = async () => {
    for await (const { events } of client.stream(
      '/v3/watch',
      { create_request: { key: base64(key) } },
      signal,
    ))
      if ((events as ReadonlyArray<{ type?: string }> | undefined)?.some(({ type }) => type === 'DELETE'))
        return;
  };
  try {
    await Promise.race([
      gone().catch(() => clock.sleep(lookEveryMs, signal)),
      clock.sleep(lookEveryMs, signal),
    ]);
  } catch {
    // It was called off.
  } finally {
    look.abort();
  }
}

/** Hands over at once. */
async function resign({ client, lease }: Standing): Promise<void> {
  if (!lease) return;
  await client.call('/v3/lease/revoke', { ID: lease.id }, { timeoutMs: 2_000 }).catch(() => undefined);
}
