import { randomUUID } from 'node:crypto';
import type { Clock } from '#base';
import type { StateLease, StateObjects } from '#domain';
import {
  type Ballot,
  type CandidateOptions,
  type ElectedLeadership,
  holds,
  type LeaseTime,
  leaseFromNow,
  type Outcome,
  standForElection,
} from './election.ts';
import type { Taking } from './kubernetes-engine.ts';

export interface KubernetesElectionOptions extends CandidateOptions {
  readonly objects: Pick<StateObjects, 'readLease' | 'writeLease'>;
  readonly clock: Clock;
  /**
   * Writes the term into the head of the state. Only then this gateway leads: the Lease says who may, and the head keeps
   * everybody else from writing.
   */
  readonly takeHead: (taking: Taking) => Promise<void>;
}

interface Poll extends KubernetesElectionOptions {
  /** Of this process, as the holder of the Lease: two processes may have the same name. */
  readonly id: string;
  /** The Lease as this gateway wrote it last. */
  held: StateLease | undefined;
  /** The Lease of another, and when it was seen first like that by the monotonic clock. */
  seen: { readonly version: string; readonly atMs: number } | undefined;
}

const lookEveryMs = 1_000;
/** Between the name of a gateway and what tells its processes apart. */
const separator = '_';

/** Stands for election at once if it may, and renews what it has won until it is disposed of. */
export function standInKubernetes(options: KubernetesElectionOptions): ElectedLeadership<string> {
  const id = `${options.name}${separator}${randomUUID()}`;
  const poll: Poll = { ...options, id, held: undefined, seen: undefined };
  const ballot: Ballot<string> = {
    campaign: () => campaign(poll),
    renew: () => renew(poll),
    untilFree: (signal) => options.clock.sleep(lookEveryMs, signal),
    resign: () => resign(poll),
  };
  return standForElection(options, ballot);
}

async function campaign(poll: Poll): Promise<Outcome<string>> {
  const { objects, clock, id, name, takeHead } = poll;
  const found = await objects.readLease();
  if (!isFree(poll, found)) return { kind: 'follows', leader: nameIn(found.holder) };
  const lease = leaseFromNow(poll);
  const written = await objects.writeLease(heldBy(poll, found, clock.nowMs()));
  // Another was quicker: the next look shows who.
  if (!written) return { kind: 'follows', leader: undefined };
  poll.held = written;
  await takeHead({ term: id, leader: name, mayTake: () => holds(lease, clock) });
  return { kind: 'leads', term: id, lease };
}

/**
 * Whether nobody holds it, or the holder was silent for its whole duration. That is counted from when this gateway saw the last
 * renewal, by its own clock: clocks of two machines are never compared.
 */
function isFree(poll: Poll, { version, holder, durationSeconds }: StateLease): boolean {
  const { clock, id, leaseSeconds } = poll;
  if (holder === undefined || holder === id) return true;
  const nowMs = clock.monotonicMs();
  if (poll.seen?.version !== version) {
    poll.seen = { version, atMs: nowMs };
    return false;
  }
  // The holder counts by its own setting, which may be longer.
  return nowMs - poll.seen.atMs >= Math.max(durationSeconds ?? 0, leaseSeconds) * 1_000;
}

const heldBy = ({ id, leaseSeconds }: Poll, found: StateLease, nowMs: number): StateLease => ({
  version: found.version,
  holder: id,
  durationSeconds: leaseSeconds,
  acquiredAtMs: found.holder === id ? found.acquiredAtMs : nowMs,
  renewedAtMs: nowMs,
  transitions: found.holder === id ? found.transitions : found.transitions + 1,
});

/** The name of the gateway that holds it. */
function nameIn(holder: string | undefined): string | undefined {
  const at = holder?.lastIndexOf(separator) ?? -1;
  return at < 0 ? holder : holder?.slice(0, at);
}

async function renew(poll: Poll): Promise<LeaseTime | undefined> {
  const { objects, clock, id } = poll;
  const lease = leaseFromNow(poll);
  poll.held ??= await objects.readLease();
  const { held } = poll;
  if (held.holder !== id) return undefined;
  // Unless the answer comes, the version is not known.
  poll.held = undefined;
  const written = await objects.writeLease(heldBy(poll, held, clock.nowMs()));
  if (written) {
    poll.held = written;
    return lease;
  }
  const found = await objects.readLease();
  if (found.holder !== id) return undefined;
  // An earlier renewal, whose answer was lost, has arrived: from when on, is not known. The next one says.
  poll.held = found;
  const again = leaseFromNow(poll);
  poll.held = await objects.writeLease(heldBy(poll, found, clock.nowMs()));
  return poll.held && again;
}

/** Hands over at once. */
async function resign(poll: Poll): Promise<void> {
  try {
    const found = await poll.objects.readLease();
    if (found.holder === poll.id) await poll.objects.writeLease({ ...found, holder: undefined });
  } catch {
    // It ends by itself.
  }
}
