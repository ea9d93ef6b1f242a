import {
  formatSui,
  type SealToken,
  type StakedNode,
  type StakedNodeCondition,
  type StakeRecord,
} from '#domain';
import type { StakeFact } from './decision.ts';
import type { Worker } from './worker.ts';

export interface StakedNodeFacts {
  readonly fact: StakeFact;
  readonly record: StakeRecord | undefined;
  readonly token: SealToken | undefined;
  readonly nowMs: number;
  /** As it was written last: a condition keeps its time until its status changes. */
  readonly before: StakedNode | undefined;
}

/** What is shown of a worker. */
export function stakedNodeOf(worker: Worker, facts: StakedNodeFacts): StakedNode {
  const { record, token, before } = facts;
  return {
    nodeId: worker.nodeId,
    spec: { wallet: worker.staker, stakeRecord: worker.recordId, sealToken: worker.tokenId },
    status: {
      stake: record ? formatSui(record.stakeMist) : (before?.status.stake ?? ''),
      state: worker.heldFor === undefined ? camelCase(worker.status.kind) : 'Held',
      tier: worker.tier,
      expires: token ? `epoch ${token.expiresAtEpoch}` : (before?.status.expires ?? ''),
      conditions: [stakedCondition(facts), admittedCondition(worker)],
    },
  };
}

function stakedCondition({ fact, nowMs, before }: StakedNodeFacts): StakedNodeCondition {
  const last = before?.status.conditions.find(({ type }) => type === 'Staked');
  const [status, reason, message] = stakeWords(fact);
  const lastTransitionTime = last?.status === status ? last.lastTransitionTime : timeText(nowMs);
  return { type: 'Staked', status, reason, message, lastTransitionTime };
}

function stakeWords(fact: StakeFact): [StakedNodeCondition['status'], reason: string, message: string] {
  switch (fact.kind) {
    case 'good':
      return ['True', 'StakeGood', 'the stake covers this node'];
    case 'bad':
      return ['False', camelCase(fact.reason), 'the stake does not cover this node'];
    case 'unknown':
      return ['Unknown', 'ChainNotRead', 'the stake has not been read of late'];
    default:
      return fact satisfies never;
  }
}

function admittedCondition({ status, statusSinceMs, heldFor }: Worker): StakedNodeCondition {
  const isIn = status.kind === 'joining' || status.kind === 'member';
  const reason = 'reason' in status ? status.reason : status.kind;
  return {
    type: 'Admitted',
    status: isIn ? 'True' : 'False',
    reason: camelCase(reason),
    message:
      heldFor === undefined ? `the node is ${status.kind}` : `the breaker holds its eviction: ${heldFor}`,
    lastTransitionTime: timeText(statusSinceMs),
  };
}

const camelCase = (words: string) =>
  words
    .split(/[_-]/)
    .map((word) => `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`)
    .join('');

const timeText = (atMs: number) => `${new Date(atMs).toISOString().slice(0, 19)}Z`;
