import { parametersAt } from './contract-objects.ts';
import { type Executed, eventOf, expectEvent } from './executed-transaction.ts';
import { type ObjectArgument, slashing, staking } from './generated/index.ts';
import { type ClusterActor, clusterOperation, digestOf, type Operation } from './operation.ts';
import type { TransactionRequest } from './prepare-transaction.ts';
import type { Contract } from './stake-requests.ts';

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

/** `andExecute`: the same transaction executes the slash, which needs a threshold of one and no challenge time. */
export const openProposal = clusterOperation(
  (input: SlashRequest & { readonly andExecute: boolean }) => ({ kind: 'propose-slash', ...input }),
  ({ packageId, clusterId }, { recordId, amountMist, reason, evidence, andExecute }) => ({
    packageId,
    shared: [clusterId, recordId],
    build: (tx, objects) => {
      const target = { cluster: objects.mutable(clusterId), record: objects.mutable(recordId) };
      const facts = { amountMist, reason, evidence: evidence ?? NO_EVIDENCE };
      const proposal = slashing.propose(tx, packageId, { ...target, ...facts });
      if (andExecute) slashing.execute(tx, packageId, { ...target, proposal });
      slashing.share(tx, packageId, { proposal });
    },
    resultOf: (transaction: Executed) => slashOutcome(transaction, packageId),
  }),
);

/**
 * Opens a proposal and votes for it. If one vote is enough and there is no challenge time, the same transaction executes
 * the slash.
 */
export const proposeSlash: Operation<ClusterActor, SlashRequest, SlashOutcome> = {
  plan: async (actor, request, signal) => {
    const { state, nowMs } = await actor.client.clusterState(signal);
    const { slashThreshold, challengeMs } = parametersAt(state, nowMs);
    const andExecute = slashThreshold === 1n && challengeMs === 0n;
    return openProposal.plan(actor, { ...request, andExecute }, signal);
  },
  execute: async (actor, request, signal) =>
    (await proposeSlash.plan(actor, request, signal)).execute(signal),
};

/**
 * Votes for an open proposal. A vote only reads the cluster, so that it does not queue behind transactions that change it.
 * With `andExecute` the same transaction executes the slash.
 */
export const voteSlash = clusterOperation(
  (input: ProposalReference & { readonly andExecute?: boolean | undefined }) => ({
    kind: 'vote-slash',
    ...input,
  }),
  (contract, { andExecute = false, ...proposal }) => {
    const { packageId } = contract;
    return {
      ...onProposal(contract, proposal, andExecute ? 'mutable' : 'readonly', (tx, target) => {
        slashing.vote(tx, packageId, target);
        if (andExecute) slashing.execute(tx, packageId, target);
      }),
      resultOf: (transaction: Executed) => slashOutcome(transaction, packageId),
    };
  },
);

/** Executes a slash that has its votes, after its challenge time. Any wallet can do this. */
export const executeSlash = clusterOperation(
  (input: ProposalReference) => ({ kind: 'execute-slash', ...input }),
  (contract, { recordId, proposalId }) => {
    const { packageId } = contract;
    const proposal = { recordId, proposalId };
    return {
      ...onProposal(contract, proposal, 'mutable', (tx, target) => slashing.execute(tx, packageId, target)),
      resultOf: (transaction: Executed) => ({
        digest: transaction.digest,
        ...proposal,
        executed: slashedBy(expectEvent(transaction, packageId, staking.MODULE, 'StakeSlashed')),
      }),
    };
  },
);

/** Takes back the vote of this wallet. */
export const retractSlashVote = clusterOperation(
  (input: ProposalReference) => ({ kind: 'retract-slash-vote', ...input }),
  (contract, proposal) => ({
    ...onProposal(contract, proposal, 'readonly', (tx, target) =>
      slashing.retract(tx, contract.packageId, target),
    ),
    resultOf: digestOf,
  }),
);

/** Ends a proposal of this wallet, while no other vote stands. */
export const cancelSlash = clusterOperation(
  (input: ProposalReference) => ({ kind: 'cancel-slash', ...input }),
  (contract, proposal) => ({
    ...onProposal(contract, proposal, 'mutable', (tx, target) =>
      slashing.cancel(tx, contract.packageId, target),
    ),
    resultOf: digestOf,
  }),
);

/** The staker's answer to a proposal: the SHA-256 of a text that slashers can ask for. */
export const answerSlash = clusterOperation(
  (input: ProposalReference & { readonly answer: Uint8Array }) => ({ kind: 'answer-slash', ...input }),
  (contract, { answer, ...proposal }) => ({
    ...onProposal(contract, proposal, 'readonly', (tx, target) =>
      slashing.answer(tx, contract.packageId, { ...target, answer }),
    ),
    resultOf: digestOf,
  }),
);

/** Closes a proposal that can no longer be executed. Any wallet can do this. */
export const expireSlash = clusterOperation(
  (input: ProposalReference) => ({ kind: 'expire-slash', ...input }),
  (contract, proposal) => ({
    ...onProposal(contract, proposal, 'mutable', (tx, target) =>
      slashing.expire(tx, contract.packageId, target),
    ),
    resultOf: digestOf,
  }),
);

interface ProposalTarget {
  readonly cluster: ObjectArgument;
  readonly record: ObjectArgument;
  readonly proposal: ObjectArgument;
}

function onProposal(
  { packageId, clusterId }: Contract,
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
