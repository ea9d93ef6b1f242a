import type { ChainClient } from './chain-client.ts';
import { parametersAt } from './contract-objects.ts';
import { type Executed, eventOf, expectEvent } from './executed-transaction.ts';
import { type ObjectArgument, slashing, staking } from './generated/index.ts';
import { type ClusterActor, digestOf, operation } from './operation.ts';
import type { TransactionRequest } from './prepare-transaction.ts';

/** The result of a proposal or a vote. */
export interface SlashOutcome {
  readonly digest: string;
  readonly proposalId: string;
  readonly recordId: string;
  /** Votes that count, and votes needed, as of this transaction. */
  readonly votes: number;
  readonly threshold: number;
  /** Set when this transaction executed the slash. */
  readonly executed: SlashExecuted | undefined;
}
export interface SlashExecuted {
  readonly slashedMist: bigint;
  readonly leftMist: bigint;
  /** The record is slashed for good: the rest is below the minimum. */
  readonly isRecordSlashed: boolean;
}

export interface SlashRequest {
  readonly recordId: string;
  readonly amountMist: bigint;
  readonly reason: string;
  /** SHA-256 of the evidence, 32 bytes; none when left out. */
  readonly evidence?: Uint8Array | undefined;
}
interface ProposalReference {
  readonly recordId: string;
  readonly proposalId: string;
}

/** Stands for "no evidence" on chain. */
const NO_EVIDENCE = new Uint8Array(32);

/**
 * Opens a proposal and votes for it. If one vote is enough and there is no challenge time, the same transaction executes
 * the slash.
 */
export const proposeSlash = operation(
  async ({ client }: ClusterActor, { recordId, evidence, ...request }: SlashRequest, signal) => {
    const { packageId, clusterId } = client.deployment;
    const { state, nowMs } = await client.clusterState(signal);
    const { slashThreshold, challengeMs } = parametersAt(state, nowMs);
    return {
      packageId,
      shared: [clusterId, recordId],
      build: (tx, objects) => {
        const target = { cluster: objects.mutable(clusterId), record: objects.mutable(recordId) };
        const facts = { ...request, evidence: evidence ?? NO_EVIDENCE };
        const proposal = slashing.propose(tx, packageId, { ...target, ...facts });
        if (slashThreshold === 1n && challengeMs === 0n)
          slashing.execute(tx, packageId, { ...target, proposal });
        slashing.share(tx, packageId, { proposal });
      },
      resultOf: (transaction) => slashOutcome(transaction, packageId),
    };
  },
);

/**
 * Votes for an open proposal. A vote only reads the cluster, so that it does not queue behind transactions that change it.
 * With `andExecute` the same transaction executes the slash.
 */
export const voteSlash = operation(
  (
    { client }: ClusterActor,
    { andExecute = false, ...proposal }: ProposalReference & { readonly andExecute?: boolean },
  ) => {
    const { packageId } = client.deployment;
    return {
      ...onProposal(client, proposal, andExecute ? 'mutable' : 'readonly', (tx, target) => {
        slashing.vote(tx, packageId, target);
        if (andExecute) slashing.execute(tx, packageId, target);
      }),
      resultOf: (transaction) => slashOutcome(transaction, packageId),
    };
  },
);

/** Executes a slash that has its votes, after its challenge time. Any wallet can do this. */
export const executeSlash = operation(({ client }: ClusterActor, proposal: ProposalReference) => {
  const { packageId } = client.deployment;
  return {
    ...onProposal(client, proposal, 'mutable', (tx, target) => slashing.execute(tx, packageId, target)),
    resultOf: (transaction) => ({
      digest: transaction.digest,
      ...proposal,
      executed: slashedBy(expectEvent(transaction, packageId, staking.MODULE, 'StakeSlashed')),
    }),
  };
});

/** Takes back the vote of this wallet. */
export const retractSlashVote = operation(({ client }: ClusterActor, proposal: ProposalReference) => ({
  ...onProposal(client, proposal, 'readonly', (tx, target) =>
    slashing.retract(tx, client.deployment.packageId, target),
  ),
  resultOf: digestOf,
}));

/** Ends a proposal of this wallet, while no other vote stands. */
export const cancelSlash = operation(({ client }: ClusterActor, proposal: ProposalReference) => ({
  ...onProposal(client, proposal, 'mutable', (tx, target) =>
    slashing.cancel(tx, client.deployment.packageId, target),
  ),
  resultOf: digestOf,
}));

/** The staker's answer to a proposal: the SHA-256 of a text that slashers can ask for. */
export const answerSlash = operation(
  (
    { client }: ClusterActor,
    { answer, ...proposal }: ProposalReference & { readonly answer: Uint8Array },
  ) => ({
    ...onProposal(client, proposal, 'readonly', (tx, target) =>
      slashing.answer(tx, client.deployment.packageId, { ...target, answer }),
    ),
    resultOf: digestOf,
  }),
);

/** Closes a proposal that can no longer be executed. Any wallet can do this. */
export const expireSlash = operation(({ client }: ClusterActor, proposal: ProposalReference) => ({
  ...onProposal(client, proposal, 'mutable', (tx, target) =>
    slashing.expire(tx, client.deployment.packageId, target),
  ),
  resultOf: digestOf,
}));

interface ProposalTarget {
  readonly cluster: ObjectArgument;
  readonly record: ObjectArgument;
  readonly proposal: ObjectArgument;
}

function onProposal(
  { deployment: { packageId, clusterId } }: ChainClient,
  { recordId, proposalId }: ProposalReference,
  clusterAccess: 'mutable' | 'readonly',
  add: (tx: Parameters<TransactionRequest['build']>[0], target: ProposalTarget) => unknown,
): Pick<TransactionRequest, 'shared' | 'build'> & { readonly packageId: string } {
  return {
    packageId,
    shared: [clusterId, recordId, proposalId],
    build: (tx, objects) => {
      add(tx, {
        cluster: objects[clusterAccess](clusterId),
        record: objects.mutable(recordId),
        proposal: objects.mutable(proposalId),
      });
    },
  };
}

function slashOutcome(transaction: Executed, packageId: string): SlashOutcome {
  const vote = slashing.SlashVoted.parse(expectEvent(transaction, packageId, slashing.MODULE, 'SlashVoted'));
  const slashed = eventOf(transaction, packageId, staking.MODULE, 'StakeSlashed');
  return {
    digest: transaction.digest,
    proposalId: vote.proposal,
    recordId: vote.record,
    votes: Number(vote.votes),
    threshold: Number(vote.threshold),
    executed: slashed && slashedBy(slashed),
  };
}

function slashedBy(event: Uint8Array): SlashExecuted {
  const { amountMist, balanceMist, status } = staking.StakeSlashed.parse(event);
  return { slashedMist: amountMist, leftMist: balanceMist, isRecordSlashed: status === 2 };
}
