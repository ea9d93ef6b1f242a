import { type Executed, eventOf, expectEvent } from './executed-transaction.ts';
import { slashing, staking } from './generated/index.ts';
import { type ClusterActor, digestOf, operation } from './operation.ts';

/** The result of a proposal or a vote. */
export interface SlashOutcome {
  readonly digest: string;
  readonly proposalId: string;
  readonly recordId: string;
  /** Votes that count, and votes needed, as of this transaction. */
  readonly votes: number;
  readonly threshold: number;
  /** Set when this vote executed the slash. */
  readonly executed: SlashExecuted | undefined;
}
interface SlashExecuted {
  readonly slashedMist: bigint;
  readonly leftMist: bigint;
  /** The record is slashed for good: the rest is below the minimum. */
  readonly isRecordSlashed: boolean;
}

export interface SlashRequest {
  readonly recordId: string;
  readonly amountMist: bigint;
  readonly reason: string;
}
export interface SlashProposalId {
  readonly recordId: string;
  readonly proposalId: string;
}

/** Opens a proposal and votes for it; with a threshold of 1 it is executed at once. */
export const proposeSlash = operation(
  ({ client }: ClusterActor, { recordId, amountMist, reason }: SlashRequest) => {
    const { packageId, clusterId } = client.deployment;
    return {
      packageId,
      shared: [clusterId, recordId],
      build: (tx, objects) => {
        slashing.propose(tx, packageId, {
          cluster: objects.mutable(clusterId),
          record: objects.mutable(recordId),
          amountMist,
          reason,
        });
      },
      resultOf: (transaction) => slashOutcome(transaction, packageId),
    };
  },
);

/** Votes for an open proposal; the vote that reaches the threshold executes it. */
export const voteSlash = operation(({ client }: ClusterActor, proposal: SlashProposalId) => {
  const { packageId, clusterId } = client.deployment;
  return {
    packageId,
    shared: [clusterId, proposal.recordId, proposal.proposalId],
    build: (tx, objects) => {
      slashing.vote(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(proposal.recordId),
        proposal: objects.mutable(proposal.proposalId),
      });
    },
    resultOf: (transaction) => slashOutcome(transaction, packageId),
  };
});

/** Closes a proposal that can no longer be executed. Any wallet can do this. */
export const expireSlash = operation(({ client }: ClusterActor, proposal: SlashProposalId) => {
  const { packageId, clusterId } = client.deployment;
  return {
    packageId,
    shared: [clusterId, proposal.recordId, proposal.proposalId],
    build: (tx, objects) => {
      slashing.expire(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(proposal.recordId),
        proposal: objects.mutable(proposal.proposalId),
      });
    },
    resultOf: digestOf,
  };
});

function slashOutcome(transaction: Executed, packageId: string): SlashOutcome {
  const vote = slashing.SlashVoted.parse(expectEvent(transaction, packageId, slashing.MODULE, 'SlashVoted'));
  const slashed = eventOf(transaction, packageId, staking.MODULE, 'StakeSlashed');
  const event = slashed && staking.StakeSlashed.parse(slashed);
  return {
    digest: transaction.digest,
    proposalId: vote.proposal,
    recordId: vote.record,
    votes: Number(vote.votes),
    threshold: Number(vote.threshold),
    executed: event && {
      slashedMist: event.amountMist,
      leftMist: event.balanceMist,
      isRecordSlashed: event.status === 2,
    },
  };
}
