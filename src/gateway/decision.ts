import type { ProblemCode } from '#api';
import type { StakeReason } from '#seal';

/** What is known about a worker's stake. Silence is never guilt: what cannot be read is unknown, not bad. */
export type StakeFact =
  | { readonly kind: 'good' }
  /** Read on chain. */
  | { readonly kind: 'bad'; readonly reason: StakeReason }
  /** Cannot be read now; the last good reading is that old (`Infinity`: there was none). */
  | { readonly kind: 'unknown'; readonly ageMs: number };

export interface Situation {
  readonly fact: StakeFact;
  /** The node was admitted by this gateway and has not been removed since. */
  readonly isAdmitted: boolean;
  readonly isBreakerTripped: boolean;
  /** How old facts may be for an admitted node to register again. */
  readonly graceMs: number;
  /** The fact has not been good for so long that a node which it does not evict gets no new pods. */
  readonly isCordonDue: boolean;
}

export interface Decision {
  readonly join: { readonly kind: 'admit' } | { readonly kind: 'refuse'; readonly code: ProblemCode };
  /** What happens to a node that runs. `hold-eviction`: the breaker has tripped, so the operator decides. */
  readonly running:
    | { readonly kind: 'stay' }
    | { readonly kind: 'hold-eviction'; readonly reason: EvictionReason }
    /** It gets no new pods: its stake has not stood as it should for too long. */
    | { readonly kind: 'cordon'; readonly reason: StakeReason }
    | { readonly kind: 'evict'; readonly reason: EvictionReason };
  readonly isBan: boolean;
  readonly directive: { readonly kind: 'stop' | 'reregister'; readonly reason: string } | undefined;
}

/** Why a node is evicted, in the words of directives, taints and the audit log. */
export type EvictionReason =
  | 'slashed'
  | 'unbonding'
  | 'withdrawn'
  | 'token_revoked'
  | 'evicted'
  | 'banned'
  | 'not_admitted';

const admit = { kind: 'admit' } as const;
const stay = { kind: 'stay' } as const;
const refuse = (code: ProblemCode) => ({ kind: 'refuse', code }) as const;

/**
 * The table of what follows from a fact (docs/architecture.md, "From slash to lock-out"), row by row. In this version
 * unbonding, withdrawal and revocation evict at once, and `stop` and `reregister` are the only directives.
 */
export function decide(situation: Situation): Decision {
  const { fact, isBreakerTripped } = situation;
  switch (fact.kind) {
    case 'good':
      return {
        join: isBreakerTripped ? refuse('breaker_tripped') : admit,
        running: stay,
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
      return onBadFact(fact.reason, situation);
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

function onBadFact(reason: StakeReason, { isBreakerTripped, isCordonDue }: Situation): Decision {
  const join = refuse(problemOf(reason));
  const eviction = evictionFor(reason);
  if (eviction === undefined)
    return {
      join,
      running: isCordonDue ? { kind: 'cordon', reason } : stay,
      isBan: false,
      // The node goes on; its host has to show the token that counts now.
      directive: reason === 'token_superseded' ? { kind: 'reregister', reason } : undefined,
    };
  // A lying endpoint must not be able to empty the cluster, neither through us nor through the hosts' obedience.
  if (isBreakerTripped)
    return { join, running: { kind: 'hold-eviction', reason: eviction }, isBan: false, directive: undefined };
  return {
    join,
    running: { kind: 'evict', reason: eviction },
    isBan: eviction === 'slashed',
    directive: { kind: 'stop', reason: eviction },
  };
}

/** `undefined`: joins are refused, a node that runs stays. */
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

/** The problem code by which the holder of the token's key learns of it. */
export function problemOf(reason: StakeReason): ProblemCode {
  return reason === 'stake_unbonding' || reason === 'stake_withdrawn' ? 'stake_not_active' : reason;
}
