import type { Command } from 'commander';
import { ConfigurationError } from '#base';
import { type ChainClient, formatSui, operations, type SlashProposal } from '#chain';
import { carryOut } from './carry-out.ts';
import { type DeploymentOptions, formatTime, openClusterActor, type SpendOptions } from './chain-options.ts';
import { hashOf } from './evidence.ts';
import type { Io } from './io.ts';
import { withClusterAct } from './unsigned.ts';

export type ProposalOptions = SpendOptions & DeploymentOptions;

/** Acts on an open proposal that end in a digest: `retract`, `cancel`, `answer`, `expire`. */
export function addProposalCommands(command: Command, io: Io): void {
  withClusterAct(command.command('retract'))
    .description('Take back your vote, until the slash is executed.')
    .argument('<proposal>', 'id of the proposal')
    .action((id: string, options: ProposalOptions) =>
      act(io, id, options, {
        question: 'Take back the vote?',
        done: 'your vote is taken back',
        plan: (actor, reference) => operations.retractSlashVote.plan(actor, reference),
      }),
    );
  withClusterAct(command.command('cancel'))
    .description('Close your own proposal, while no other vote stands.')
    .argument('<proposal>', 'id of the proposal')
    .action((id: string, options: ProposalOptions) =>
      act(io, id, options, {
        question: 'Cancel the proposal?',
        done: 'the proposal is cancelled',
        plan: (actor, reference) => operations.cancelSlash.plan(actor, reference),
      }),
    );
  withClusterAct(command.command('expire'))
    .description('Close a proposal that can no longer be executed. Any wallet can do this.')
    .argument('<proposal>', 'id of the proposal')
    .action((id: string, options: ProposalOptions) =>
      act(io, id, options, {
        question: 'Close the proposal?',
        done: 'the proposal is closed',
        plan: (actor, reference) => operations.expireSlash.plan(actor, reference),
      }),
    );
  withClusterAct(command.command('answer'))
    .description(
      'As the staker, answer a proposal. Only the hash of the answer is public; send the file to the slashers.',
    )
    .argument('<proposal>', 'id of the proposal')
    .requiredOption('--answer <file|hash>', 'the answer, or its SHA-256 (64 hex digits)')
    .action((id: string, options: ProposalOptions & { readonly answer: string }) => answer(io, id, options));
}

async function answer(
  io: Io,
  id: string,
  options: ProposalOptions & { readonly answer: string },
): Promise<void> {
  const hash = await hashOf(options.answer, '--answer');
  await act(io, id, options, {
    question: 'Answer the proposal?',
    done: `your answer ${Buffer.from(hash).toString('hex')} is on chain`,
    plan: (actor, reference) => operations.answerSlash.plan(actor, { ...reference, answer: hash }),
  });
}

interface Act {
  readonly question: string;
  readonly done: string;
  readonly plan: typeof operations.cancelSlash.plan;
}

async function act(
  io: Io,
  id: string,
  options: ProposalOptions,
  { question, done, plan }: Act,
): Promise<void> {
  const actor = await openClusterActor(io, options);
  const proposal = await proposalOf(actor.client, id);
  const reference = { recordId: proposal.recordId, proposalId: proposal.id };
  const result = await carryOut(io, await plan(actor, reference), options, {
    question,
    facts: proposalRows(proposal, actor.wallet.address),
    json: { ...reference, wallet: actor.wallet.address },
  });
  if (result) io.result({ ...reference, ...result }, `Proposal ${proposal.id}: ${done} (${result.digest}).`);
}

export async function proposalOf(client: ChainClient, id: string): Promise<SlashProposal> {
  const proposal = await client.proposal(id);
  if (proposal) return proposal;
  throw new ConfigurationError(
    'DAAS_PROPOSAL_UNKNOWN',
    `the cluster has no slash proposal ${id}: check the id and the deployment file`,
    { details: { proposalId: id } },
  );
}

export function proposalRows(proposal: SlashProposal, wallet: string): Array<[string, string]> {
  return [
    ['proposal', proposal.id],
    ['record', proposal.recordId],
    ['status', proposal.status],
    ['takes', formatSui(proposal.amountMist)],
    ['reason', proposal.reason],
    ['evidence', shownHash(proposal.evidence) ?? 'none'],
    ['answer', shownHash(proposal.answer) ?? 'none yet'],
    ['votes', `${proposal.votes.length} (${proposal.votes.join(', ')})`],
    ['executable from', formatTime(proposal.executableAtMs)],
    ['ends', formatTime(proposal.expiresAtMs)],
    ['wallet', wallet],
  ];
}

export function proposalJson({ id, recordId, evidence, answer: reply }: SlashProposal) {
  return {
    proposalId: id,
    recordId,
    evidence: shownHash(evidence) ?? null,
    answer: shownHash(reply) ?? null,
  };
}

/** Zeros and an empty value both stand for none. */
function shownHash(hash: Uint8Array): string | undefined {
  return hash.some((byte) => byte !== 0) ? Buffer.from(hash).toString('hex') : undefined;
}
