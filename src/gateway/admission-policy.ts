import type { ProblemCode } from '#api';
import { GATEWAY_TIERS, type GatewayTier, isOperatorsName, type KubernetesNode } from '#domain';
import type { ChainFacts } from '#seal';
import { type Ban, banOf } from './bans.ts';
import { problemOf, type StakeFact } from './decision.ts';
import { isAdmitted, type Worker } from './worker.ts';

/** Whom the operator admits (`gateway.admit`). */
export interface AdmissionRules {
  readonly stakers: 'any' | readonly string[];
  /** Matches the whole node id. */
  readonly nodeIdPattern: RegExp;
  readonly maxNodes: number;
}

/** Step 1 of an admission: the operator's rules. `places`: how many other nodes are admitted, or about to be. */
export function ruleProblem(
  { stakers, nodeIdPattern, maxNodes }: AdmissionRules,
  {
    nodeId,
    staker,
    worker,
    places,
  }: {
    readonly nodeId: string;
    readonly staker: string;
    readonly worker: Worker | undefined;
    readonly places: number;
  },
): ProblemCode | undefined {
  if (stakers !== 'any' && !stakers.includes(staker)) return 'staker_not_admitted';
  if (!nodeIdPattern.test(nodeId)) return 'node_id_not_admitted';
  if (worker && isAdmitted(worker)) return undefined;
  return places >= maxNodes ? 'cluster_full' : undefined;
}

/** Step 2, the part that memory answers: bans, locks, and the staker to whom the name is bound. */
export function bindingProblem(
  bans: ReadonlyMap<string, Ban>,
  {
    nodeId,
    staker,
    holderKey,
    worker,
  }: {
    readonly nodeId: string;
    readonly staker: string;
    /** Undefined before the key is known. */
    readonly holderKey: string | undefined;
    readonly worker: Worker | undefined;
  },
): ProblemCode | undefined {
  const isKnownName = worker?.staker === staker;
  if (banOf(bans, { nodeId, staker, holderKey: holderKey ?? '', isKnownName })) return 'banned';
  if (!worker) return undefined;
  if (worker.lockedAtMs !== undefined) return 'locked';
  if (worker.status.kind === 'evicting') return 'name_taken';
  const isInUse = isAdmitted(worker) || worker.status.kind === 'admitting';
  return isInUse && !isKnownName ? 'name_taken' : undefined;
}

/** Step 2, the part that the cluster answers: the name belongs to another node, staked or not. */
export function nameProblem({
  worker,
  staker,
  node,
  listing,
  recordId,
}: {
  readonly worker: Worker | undefined;
  readonly staker: string;
  readonly node: KubernetesNode | undefined;
  readonly listing: string | undefined;
  readonly recordId: string | undefined;
}): ProblemCode | undefined {
  if (worker && isAdmitted(worker)) return undefined;
  // `setup` lists every server and ordinary node. A name with a tier and without a worker is the gateway's own left-over.
  if (isOperatorsName(listing)) return 'name_not_ours';
  if (!node) return undefined;
  if (worker) return worker.staker === staker ? undefined : 'name_taken';
  // Only administrators of the API server can set the mark: a Node that names this very record belongs to it.
  return recordId !== undefined && node.stakeRecordId === recordId ? undefined : 'name_not_ours';
}

export type Standing = Pick<Worker, 'staker' | 'recordId' | 'tokenSequence' | 'tier'>;

/**
 * The stake behind an applicant: by the facts on chain, or, while the chain is away, by the last admission. `undefined`
 * when neither is known.
 */
export function standingOf(facts: ChainFacts | undefined, worker: Worker | undefined): Standing | undefined {
  if (!facts?.token || !facts.record) return worker;
  return {
    staker: facts.record.staker,
    recordId: facts.record.id,
    tokenSequence: facts.token.sequence,
    tier: tierNow(facts.token.gatewayTier, facts.record.stakeMist, facts.cluster.parameters.tiersMist),
  };
}

/** The token's tier, as of its mint, but no higher than that of the stake today (`cluster::tier_of`). */
export function tierNow(
  minted: GatewayTier,
  stakeMist: bigint,
  [, standard, premium]: readonly [bigint, bigint, bigint],
): GatewayTier {
  const today = stakeMist >= premium ? 2 : stakeMist >= standard ? 1 : 0;
  return GATEWAY_TIERS[Math.min(today, GATEWAY_TIERS.indexOf(minted))] ?? 'basic';
}

/** Why a fact admits no node, for the holder of the token's key. */
export function explainFact(fact: StakeFact): string {
  switch (fact.kind) {
    case 'good':
      return 'too many nodes were evicted at once, and the operator has to look first';
    case 'unknown':
      return 'the facts on chain cannot be read now';
    case 'bad':
      return `its stake or Seal token is not good (${problemOf(fact.reason)})`;
    default:
      return fact satisfies never;
  }
}

const explanations: Partial<Record<ProblemCode, string>> = {
  staker_not_admitted: 'the operator of this cluster does not admit this staker',
  node_id_not_admitted: 'the operator of this cluster does not admit node ids of this form',
  cluster_full: 'the cluster has as many staked nodes as its operator admits',
  banned: 'the node id, the node key or the staker is banned; only the operator of the cluster lifts a ban',
  locked: 'the operator has locked registrations of this node; only the operator unlocks it',
  name_taken:
    'this node id is still bound to an earlier stake whose node is being removed, or to another staker',
  name_claimed:
    'somebody with a join credential has claimed this name and may have a certificate of it: choose another node id, or ask the operator to release it',
  proof_too_old:
    'the newest proof of its stake is older than gateway.admit.proofAgeMs, and the only full node that answers could hide what happened since. What lets it in: a probe of the gateway (chain.probe), which has been asked for where it is on; a second endpoint in its chain.endpoints; or a new token (`k3s-daas token rotate`)',
  name_not_ours: 'a node of this name is in the cluster that no stake admitted: choose another node id',
};

/** What a problem of step 1 or 2 means, for the applicant. */
export function explainProblem(problem: ProblemCode): string {
  return explanations[problem] ?? problem;
}
