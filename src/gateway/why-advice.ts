import type { ProblemCode } from '#api';
import type { Ban } from './bans.ts';
import { problemOf, type StakeFact } from './decision.ts';
import type { Worker } from './worker.ts';

/** What `gateway why` knows of a name, as far as it decides what would let its node in. */
export interface WhySituation {
  readonly nodeId: string;
  readonly worker: Worker | undefined;
  /** `undefined`: no record holds the name, on chain or here. */
  readonly fact: StakeFact | undefined;
  /** All that hit the name, its key or its staker. */
  readonly bans: readonly Ban[];
  /** What rules, bindings and listings would answer to a registration now. */
  readonly ruleProblem: ProblemCode | undefined;
  readonly hasNode: boolean;
  readonly isNodeReady: boolean;
}

/** One thing that is missing, and who can do it. */
export interface Advice {
  readonly by: 'operator' | 'staker' | 'gateway';
  readonly what: string;
  /** Ready to run; `undefined` when it is no command of ours. */
  readonly command: string | undefined;
}

/** Everything that stands between the name and a Ready Node, in the order in which a registration meets it. Pure. */
export function whatLetsItIn(situation: WhySituation): readonly Advice[] {
  const { fact, ruleProblem } = situation;
  return [
    ...(fact === undefined ? [stakeFirst(situation)] : ofFact(fact)),
    ...situation.bans.map(ofBan),
    ...(ruleProblem === undefined ? [] : ofProblem(ruleProblem, situation)),
    ...ofWorker(situation),
  ];
}

const staker = (what: string, command?: string): Advice => ({ by: 'staker', what, command });
const operator = (what: string, command?: string): Advice => ({ by: 'operator', what, command });
const gateway = (what: string): Advice => ({ by: 'gateway', what, command: undefined });

function stakeFirst({ nodeId }: WhySituation): Advice {
  return staker(`stake for ${nodeId} and register`, 'k3s-daas agent');
}

function ofFact(fact: StakeFact): readonly Advice[] {
  if (fact.kind === 'good') return [];
  if (fact.kind === 'unknown')
    return [operator('see why the chain cannot be read: the gateway’s log, and /readyz')];
  switch (fact.reason) {
    case 'stake_slashed':
    case 'stake_unbonding':
    case 'stake_withdrawn':
    case 'token_revoked':
      return [staker('stake again', 'k3s-daas agent --stake-again')];
    case 'stake_short_after_slash':
    case 'stake_too_low':
      return [staker('top the stake up: k3s-daas stake top-up')];
    case 'token_expired':
      return [staker('rotate the Seal token: k3s-daas token rotate')];
    case 'token_superseded':
      return [
        staker('register with the newer Seal token: a restarted host does', 'systemctl restart k3s-agent'),
      ];
    case 'permission_missing':
      return [staker('stake enough for the tier that has nodes:write')];
    case 'record_not_found':
    case 'node_id_mismatch':
    case 'owner_mismatch':
    case 'not_a_node_stake':
      return [staker(`show a Seal token of this name's own stake (now: ${problemOf(fact.reason)})`)];
    default:
      return fact.reason satisfies never;
  }
}

function ofBan({ subject, value, reason }: Ban): Advice {
  const target = { node_id: value, node_key: `key:${value}`, staker: `staker:${value}` }[subject];
  return operator(
    `lift the ban of the ${subject.replace('_', ' ')} (${reason})`,
    `k3s-daas gateway unban ${target}`,
  );
}

function ofProblem(problem: ProblemCode, { nodeId, worker }: WhySituation): readonly Advice[] {
  switch (problem) {
    case 'banned':
      // Each ban has a line of its own.
      return [];
    case 'locked':
      return [operator('unlock its registrations', `k3s-daas gateway unlock ${nodeId}`)];
    case 'staker_not_admitted':
      return [operator('name the staker in gateway.admit.stakers, and restart the gateway')];
    case 'node_id_not_admitted':
      return [operator('let gateway.admit.nodeIdPattern match the name, and restart the gateway')];
    case 'cluster_full':
      return [operator('raise gateway.admit.maxNodes, or evict a node')];
    case 'name_taken':
      return worker?.status.kind === 'evicting'
        ? [gateway('finish the eviction of its last node, which is under way')]
        : [operator('free the name of its earlier staker', `k3s-daas gateway release ${nodeId}`)];
    case 'name_claimed':
      return [
        operator(
          'open the name, which somebody may have a certificate of; or another node id',
          `k3s-daas gateway release ${nodeId}`,
        ),
      ];
    case 'name_not_ours':
      return [operator(`${nodeId} is a name of the cluster's operator: another node id is free`)];
    default:
      return [gateway(`a registration is answered ${problem} now`)];
  }
}

function ofWorker({ nodeId, worker, hasNode, isNodeReady, fact, bans }: WhySituation): readonly Advice[] {
  if (!worker) return [];
  if (worker.heldFor !== undefined)
    return [
      operator('the breaker holds its eviction: compare with the chain first', 'k3s-daas gateway breaker'),
    ];
  const isFree = fact?.kind === 'good' && bans.length === 0 && worker.lockedAtMs === undefined;
  switch (worker.status.kind) {
    case 'joining':
      return [staker(`start ${nodeId}'s agent with its join credential: no Node has come yet`)];
    case 'member':
      return !hasNode || isNodeReady
        ? []
        : [staker('its kubelet is silent: see its host', 'k3s-daas doctor')];
    case 'lapsed':
      return isFree ? [staker('nothing: its host registers again by itself')] : [];
    case 'evicted':
      return isFree ? [staker('start its host again', 'systemctl start k3s-agent')] : [];
    case 'admitting':
    case 'evicting':
      return [];
    default:
      return worker.status satisfies never;
  }
}
