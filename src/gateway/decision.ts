import type { ProblemCode } from '#api';
import type { StakeReason } from '#seal';

/** What is known about a worker's stake. What cannot be read is unknown, not bad. */
export type StakeFact =
  | { readonly kind: 'good' }
  /** Read on chain. */
  | {
      readonly kind: 'bad';
      readonly reason: StakeReason;
      /** Validators have signed it, and it is the act of the staker or of the slashers: no breaker holds what follows. */
      readonly isCertain?: boolean;
    }
  /** Cannot be read now. `ageMs`: age of the last good reading; `Infinity` without one. */
  | { readonly kind: 'unknown'; readonly ageMs: number };

export interface Situation {
  readonly fact: StakeFact;
  /** This gateway admitted the node and has not evicted it since. */
  readonly isAdmitted: boolean;
  readonly isBreakerTripped: boolean;
  /** How old facts may be for an admitted node to register again. */
  readonly graceMs: number;
  /** A slash proposal is open against its stake, and the operator wants such a node in quarantine. */
  readonly isInQuarantine?: boolean;
  /** The fact has not been good for so long that a node which it does not evict is cordoned. */
  readonly isCordonDue: boolean;
}

export interface Decision {
  readonly join: { readonly kind: 'admit' } | { readonly kind: 'refuse'; readonly code: ProblemCode };
  /** What happens to a running node. `hold-eviction`: the breaker has tripped, so the operator decides. */
  readonly running:
    | { readonly kind: 'stay' }
    | { readonly kind: 'hold-eviction'; readonly reason: EvictionReason }
    /** It gets no new pods: its stake has not been good for too long. */
    | { readonly kind: 'cordon'; readonly reason: StakeReason | typeof QUARANTINE }
    | { readonly kind: 'evict'; readonly reason: EvictionReason; readonly isCertain?: boolean };
  readonly isBan: boolean;
  readonly directive:
    | { readonly kind: 'stop' | 'reregister' | 'rotate' | 'top_up'; readonly reason: string }
    | undefined;
}

/** Why a node in quarantine gets no new pods, as its taint and the notice to its host say. */
export const QUARANTINE = 'slash_proposed';

/** Why a node is evicted, as directives, taints and the audit file name it. */
export type EvictionReason =
  | 'slashed'
  | 'unbonding'
  | 'withdrawn'
  | 'token_revoked'
  | 'stake_short_after_slash'
  | 'evicted'
  /** Its own host asked for it. */
  | 'left'
  | 'banned'
  | 'not_admitted';

const admit = { kind: 'admit' } as const;
const stay = { kind: 'stay' } as const;
const refuse = (code: ProblemCode) => ({ kind: 'refuse', code }) as const;

/**
 * What follows from a fact, row by row (docs/architecture.md, "From slash to lock-out"). In this version unbonding,
 * withdrawal, revocation and a stake that is short after a slash evict at once.
 */
export function decide(situation: Situation): Decision {
  const { fact } = situation;
  switch (fact.kind) {
    case 'good':
      return {
        // The breaker holds evictions alone: or else four stakes without machines would close the cluster to everybody.
        join: admit,
        running: situation.isInQuarantine ? { kind: 'cordon', reason: QUARANTINE } : stay,
        isBan: false,
        directive: undefined,
      };
    case 'unknown':
      return {
        join: joinOnOldFacts(situation, fact.ageMs),
        running: stay,
        isBan: false,
        directive: undefined,
      };
    case 'bad':
      return onBadFact(fact, situation);
    default:
      return fact satisfies never;
  }
}

function joinOnOldFacts(
  { isAdmitted, isBreakerTripped, graceMs }: Situation,
  ageMs: number,
): Decision['join'] {
  if (!isAdmitted || ageMs > graceMs) return refuse('chain_unavailable');
  return isBreakerTripped ? refuse('breaker_tripped') : admit;
}

function onBadFact(
  { reason, isCertain = false }: Extract<StakeFact, { kind: 'bad' }>,
  { isBreakerTripped, isCordonDue, isInQuarantine }: Situation,
): Decision {
  const join = refuse(problemOf(reason));
  const eviction = evictionFor(reason);
  if (eviction === undefined)
    return {
      join,
      running: isCordonDue
        ? { kind: 'cordon', reason }
        : isInQuarantine
          ? { kind: 'cordon', reason: QUARANTINE }
          : stay,
      isBan: false,
      directive: remedyFor(reason),
    };
  // A lying endpoint must not be able to empty the cluster, neither through the gateway nor through directives to hosts.
  if (isBreakerTripped && !isCertain)
    return { join, running: { kind: 'hold-eviction', reason: eviction }, isBan: false, directive: undefined };
  return {
    join,
    running: { kind: 'evict', reason: eviction, ...(isCertain && { isCertain }) },
    isBan: eviction === 'slashed',
    directive: { kind: 'stop', reason: eviction },
  };
}

/** What the host of a node that stays can do about it. */
function remedyFor(reason: StakeReason): Decision['directive'] {
  switch (reason) {
    case 'token_superseded':
      return { kind: 'reregister', reason };
    case 'token_expired':
      return { kind: 'rotate', reason };
    case 'stake_too_low':
      return { kind: 'top_up', reason };
    default:
      return undefined;
  }
}

/** `undefined`: joins are refused, a running node stays. */
function evictionFor(reason: StakeReason): EvictionReason | undefined {
  switch (reason) {
    case 'stake_slashed':
      return 'slashed';
    case 'stake_unbonding':
      return 'unbonding';
    case 'stake_withdrawn':
      return 'withdrawn';
    case 'token_revoked':
      return 'token_revoked';
    case 'stake_short_after_slash':
      return 'stake_short_after_slash';
    case 'token_expired':
    case 'stake_too_low':
    case 'token_superseded':
    case 'permission_missing':
    case 'node_id_mismatch':
    case 'owner_mismatch':
    case 'not_a_node_stake':
    case 'record_not_found':
      return undefined;
    default:
      return reason satisfies never;
  }
}

/** The problem code that the holder of the token's key gets. */
export function problemOf(reason: StakeReason): ProblemCode {
  return reason === 'stake_unbonding' || reason === 'stake_withdrawn' ? 'stake_not_active' : reason;
}
