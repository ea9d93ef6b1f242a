import type { Clock } from '#base';
import {
  type Ballot,
  type CandidateOptions,
  type ElectedLeadership,
  type LeaseTime,
  leaseFromNow,
  type Outcome,
  standForElection,
} from './election.ts';
import { base64, type EtcdClient, fromBase64, numberIn, rangedKeysIn } from './etcd-client.ts';

/**
 * Leadership by a key that exists as long as a lease is renewed. The term is the revision at which this gateway's key was
 * made: every write names it, and one of an earlier or a lost leadership fails at etcd.
 */
export interface EtcdLeadership extends ElectedLeadership<number> {
  readonly key: string;
}

export interface EtcdLeadershipOptions extends CandidateOptions {
  readonly client: EtcdClient;
  /** The key in etcd. */
  readonly key: string;
  readonly clock: Clock;
}

interface Poll extends EtcdLeadershipOptions {
  lease: Lease | undefined;
}

interface Lease extends LeaseTime {
  readonly id: string;
}

/** How late the end of a lease is noticed if the watch is silent. */
const lookEveryMs = 2_000;

/** Stands for election at once if it may, and renews what it has won until it is disposed of. */
export function standInEtcd(options: EtcdLeadershipOptions): EtcdLeadership {
  const poll: Poll = { ...options, lease: undefined };
  const ballot: Ballot<number> = {
    campaign: (signal) => campaign(poll, signal),
    renew: (signal) => aliveLease(poll, signal),
    untilFree: (signal) => untilFree(poll, signal),
    resign: () => resign(poll),
  };
  return { ...standForElection(options, ballot), key: options.key };
}

/** The key is put if nobody has it. */
async function campaign(poll: Poll, signal: AbortSignal): Promise<Outcome<number>> {
  const { client, key, name } = poll;
  const lease = (await aliveLease(poll, signal)) ?? (await newLease(poll, signal));
  poll.lease = lease;
  const reply = await client.call(
    '/v3/kv/txn',
    {
      compare: [{ target: 'CREATE', result: 'EQUAL', key: base64(key), create_revision: '0' }],
      success: [{ request_put: { key: base64(key), value: base64(name), lease: lease.id } }],
      failure: [{ request_range: { key: base64(key) } }],
    },
    { signal },
  );
  if (reply.succeeded === true) {
    const { revision } = reply.header as { revision?: string };
    return { kind: 'leads', term: numberIn(revision), lease };
  }
  const [found] = rangedKeysIn(reply);
  // The answer to an earlier attempt was lost.
  if (found?.lease === lease.id) return { kind: 'leads', term: numberIn(found.create_revision), lease };
  return { kind: 'follows', leader: found && fromBase64(found.value) };
}

async function newLease(poll: Poll, signal: AbortSignal): Promise<Lease> {
  const time = leaseFromNow(poll);
  const { ID } = await poll.client.call('/v3/lease/grant', { TTL: String(poll.leaseSeconds) }, { signal });
  return { id: String(ID), ...time };
}

/** Renews the lease that there is, from the moment the question was sent. `undefined`: it has ended. */
async function aliveLease(poll: Poll, signal: AbortSignal): Promise<Lease | undefined> {
  const { lease, client } = poll;
  if (!lease) return undefined;
  const time = leaseFromNow(poll);
  const { result } = (await client.call('/v3/lease/keepalive', { ID: lease.id }, { signal })) as {
    result?: { TTL?: string };
  };
  if (numberIn(result?.TTL) <= 0) return undefined;
  poll.lease = { id: lease.id, ...time };
  return poll.lease;
}

/** Until the key of the one who leads has gone, or some time has passed. */
async function untilFree({ client, key, clock }: Poll, stop: AbortSignal): Promise<void> {
  const look = new AbortController();
  const signal = AbortSignal.any([stop, look.signal]);
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
async function resign({ client, lease }: Poll): Promise<void> {
  if (!lease) return;
  await client.call('/v3/lease/revoke', { ID: lease.id }, { timeoutMs: 2_000 }).catch(() => undefined);
}
