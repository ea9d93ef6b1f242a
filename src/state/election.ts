import { aborted, type Clock, DaasError } from '#base';
import type { Leadership } from './leadership.ts';

/** Leadership by a lease that somebody else keeps. */
export interface ElectedLeadership<Term> extends Leadership, AsyncDisposable {
  /** What every write of this leadership names, so that those of an earlier or a lost one fail; `undefined`: it does not lead. */
  term(): Term | undefined;
  /** A write of this term was refused. */
  noteLoss(): void;
}

/** How one kind of store elects. */
export interface Ballot<Term> {
  /** Tries once. */
  campaign(signal: AbortSignal): Promise<Outcome<Term>>;
  /** Renews what was won; `undefined`: it has ended. */
  renew(signal: AbortSignal): Promise<LeaseTime | undefined>;
  /** Until the lead may be free, or some time has passed. */
  untilFree(signal: AbortSignal): Promise<void>;
  /** Hands over at once; throws nothing. */
  resign(): Promise<void>;
}

export type Outcome<Term> =
  | { readonly kind: 'leads'; readonly term: Term; readonly lease: LeaseTime }
  | { readonly kind: 'follows'; readonly leader: string | undefined };

/** By the monotonic clock, which stands still while the machine sleeps, and by the time of day, which may be set. */
export interface LeaseTime {
  readonly untilMs: number;
  readonly untilWallMs: number;
}

export interface CandidateOptions {
  /** This gateway, for the others. */
  readonly name: string;
  readonly leaseSeconds: number;
  readonly clock: Clock;
  /** False: it only reads. True unless given. */
  readonly isCandidate?: boolean | undefined;
}

interface Standing<Term> extends CandidateOptions {
  readonly ballot: Ballot<Term>;
  readonly stop: AbortController;
  readonly elected: PromiseWithResolvers<void>;
  readonly lost: PromiseWithResolvers<never>;
  lease: LeaseTime | undefined;
  term: Term | undefined;
  isLost: boolean;
  leader: string | undefined;
}

const pauseMs = 1_000;

/** A lease of so many seconds from now: called before it is asked for. A fifth less, so that the last write that begins in time ends in time. */
export function leaseFromNow({ clock, leaseSeconds }: CandidateOptions): LeaseTime {
  const lifeMs = leaseSeconds * 800;
  return { untilMs: clock.monotonicMs() + lifeMs, untilWallMs: clock.nowMs() + lifeMs };
}

/** Stands for election at once if it may, and renews what it has won until it is disposed of. */
export function standForElection<Term>(
  options: CandidateOptions,
  ballot: Ballot<Term>,
): ElectedLeadership<Term> {
  const standing: Standing<Term> = {
    ...options,
    ballot,
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
      await ballot.resign();
    },
  };
}

function isLeading<Term>({ term, isLost, lease, clock }: Standing<Term>): boolean {
  return term !== undefined && !isLost && lease !== undefined && holds(lease, clock);
}

/** Neither the machine's sleep nor a time of day that was set lets a lease hold longer. */
export const holds = ({ untilMs, untilWallMs }: LeaseTime, clock: Clock): boolean =>
  clock.monotonicMs() < untilMs && clock.nowMs() < untilWallMs;

function lose<Term>(standing: Standing<Term>): void {
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

async function stand<Term>(standing: Standing<Term>): Promise<void> {
  const { stop, clock, ballot } = standing;
  while (!stop.signal.aborted) {
    try {
      if (await campaign(standing)) return await renew(standing);
      await ballot.untilFree(stop.signal);
    } catch (error) {
      if (stop.signal.aborted || standing.isLost || isFinal(error)) throw error;
      // The store is away. A lease that was granted ends by itself.
      await clock.sleep(pauseMs, stop.signal);
    }
  }
}

/** A fault of the program, and a state that was tampered with, do not get better. */
const isFinal = (error: unknown) => !(error instanceof DaasError) || error.code === 'DAAS_STATE_FORGED';

async function campaign<Term>(standing: Standing<Term>): Promise<boolean> {
  const { ballot, name, clock, stop } = standing;
  const outcome = await ballot.campaign(stop.signal);
  if (outcome.kind === 'follows') {
    standing.leader = outcome.leader;
    return false;
  }
  standing.leader = name;
  if (!holds(outcome.lease, clock)) return false;
  standing.lease = outcome.lease;
  standing.term = outcome.term;
  standing.elected.resolve();
  return true;
}

async function renew<Term>(standing: Standing<Term>): Promise<void> {
  const { clock, stop, leaseSeconds, ballot } = standing;
  const everyMs = (leaseSeconds * 1_000) / 5;
  while (!stop.signal.aborted) {
    await clock.sleep(Math.min(everyMs, pauseMs * 3), stop.signal).catch(() => undefined);
    if (stop.signal.aborted) return;
    const isAlive = await ballot.renew(stop.signal).then(
      (lease) => {
        standing.lease = lease ?? standing.lease;
        return lease !== undefined;
      },
      // The store is away: the lease may be renewed yet.
      () => isLeading(standing),
    );
    if (!isAlive || !isLeading(standing)) return lose(standing);
  }
}
