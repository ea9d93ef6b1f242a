import { Command } from 'commander';
import { ConfigurationError } from '#base';
import {
  type ChainClient,
  type ClusterActor,
  formatSui,
  parametersAt,
  parseSui,
  planExpireSlash,
  planProposeSlash,
  planVoteSlash,
  type SlashOutcome,
  type SlashProposal,
} from '#chain';
import type { StakeRecord } from '#domain';
import {
  ask,
  carryOut,
  type DeploymentOptions,
  formatTime,
  openClusterActor,
  type SpendOptions,
  withDeployment,
  withSpending,
} from './chain-options.ts';
import { type Io, table } from './io.ts';

/** `k3s-daas slash propose | vote | expire`. */
export function slashCommand(io: Io): Command {
  const command = new Command('slash').description('Slash a stake by the votes of the cluster’s slashers.');
  withDeployment(withSpending(command.command('propose')))
    .description('Open a proposal and vote for it. If one vote is enough, the slash is executed at once.')
    .option('--node <id>', 'node id of the live stake to slash')
    .option('--record <id>', 'stake record to slash, instead of --node')
    .option('--amount <amount>', 'how much to take; `all` for the whole stake', 'all')
    .option('--reason <text>', 'why; public on chain (1 to 256 bytes)')
    .action((options: ProposeOptions) => propose(io, options));
  withDeployment(withSpending(command.command('vote')))
    .description('Vote for an open proposal; the vote that reaches the threshold carries it out.')
    .argument('<proposal>', 'id of the proposal')
    .action((id: string, options: SpendOptions & DeploymentOptions) => vote(io, id, options));
  withDeployment(withSpending(command.command('expire')))
    .description('Close a proposal that can no longer be executed. Any wallet can do this.')
    .argument('<proposal>', 'id of the proposal')
    .action((id: string, options: SpendOptions & DeploymentOptions) => expire(io, id, options));
  return command;
}

interface ProposeOptions extends SpendOptions, DeploymentOptions {
  readonly node?: string;
  readonly record?: string;
  readonly amount: string;
  readonly reason?: string;
}

async function propose(io: Io, options: ProposeOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const record = await recordToSlash(io, actor.client, options);
  const reason = options.reason ?? (await ask(io, 'Reason (public on chain)', '--reason'));
  const amountMist = options.amount === 'all' ? record.stakeMist : parseSui(options.amount, '--amount');
  const { state, nowMs } = await actor.client.clusterState();
  const { slashThreshold, treasury, minimumStakeMist } = parametersAt(state, nowMs);
  const plan = await planProposeSlash(actor, { recordId: record.id, amountMist, reason });
  const leftMist = record.stakeMist - amountMist;
  const outcome = await carryOut(io, plan, options, {
    question: 'Propose the slash?',
    facts: [
      ...recordRows(record),
      ['takes', `${formatSui(amountMist)}, to ${treasury}`],
      [
        'leaves',
        `${formatSui(leftMist)}${leftMist < minimumStakeMist ? ': below the minimum, the node is out for good' : ''}`,
      ],
      ['reason', reason],
      ['votes needed', slashThreshold === 1n ? '1: it is carried out at once' : slashThreshold.toString()],
      ['wallet', actor.wallet.address],
    ],
    json: { recordId: record.id, amountMist, reason, wallet: actor.wallet.address },
  });
  if (outcome) printOutcome(io, outcome);
}

async function vote(io: Io, id: string, options: SpendOptions & DeploymentOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const proposal = await proposalOf(actor.client, id);
  const plan = await planVoteSlash(actor, { recordId: proposal.recordId, proposalId: proposal.id });
  const outcome = await carryOut(io, plan, options, announcement('Vote for the slash?', proposal, actor));
  if (outcome) printOutcome(io, outcome);
}

async function expire(io: Io, id: string, options: SpendOptions & DeploymentOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const proposal = await proposalOf(actor.client, id);
  const plan = await planExpireSlash(actor, { recordId: proposal.recordId, proposalId: proposal.id });
  const done = await carryOut(io, plan, options, announcement('Close the proposal?', proposal, actor));
  if (done)
    io.result(
      { proposalId: proposal.id, recordId: proposal.recordId, ...done },
      `The proposal ${proposal.id} is closed (${done.digest}).`,
    );
}

function announcement(question: string, proposal: SlashProposal, actor: ClusterActor) {
  const facts: Array<[string, string]> = [
    ['proposal', proposal.id],
    ['record', proposal.recordId],
    ['status', proposal.status],
    ['takes', formatSui(proposal.amountMist)],
    ['reason', proposal.reason],
    ['votes', `${proposal.votes.length} (${proposal.votes.join(', ')})`],
    ['ends', formatTime(proposal.expiresAtMs)],
    ['wallet', actor.wallet.address],
  ];
  return {
    question,
    facts,
    json: { proposalId: proposal.id, recordId: proposal.recordId, wallet: actor.wallet.address },
  };
}

async function recordToSlash(io: Io, client: ChainClient, options: ProposeOptions): Promise<StakeRecord> {
  let id = options.record;
  if (id === undefined) {
    const nodeId = options.node ?? (await ask(io, 'Node id to slash', '--node or --record'));
    id = await client.liveRecordOf(nodeId);
    if (id === undefined)
      throw new ConfigurationError(
        'DAAS_STAKE_UNKNOWN',
        `no live stake has the node id '${nodeId}'. Name an unbonding stake with --record`,
        { details: { nodeId } },
      );
  }
  const record = (await client.records([id])).get(id);
  if (record) return record;
  throw new ConfigurationError(
    'DAAS_STAKE_UNKNOWN',
    `the cluster has no stake record ${id}: check the id and the deployment file`,
    { details: { recordId: id } },
  );
}

async function proposalOf(client: ChainClient, id: string): Promise<SlashProposal> {
  const proposal = await client.proposal(id);
  if (proposal) return proposal;
  throw new ConfigurationError(
    'DAAS_PROPOSAL_UNKNOWN',
    `the cluster has no slash proposal ${id}: check the id and the deployment file`,
    { details: { proposalId: id } },
  );
}

function recordRows(record: StakeRecord): Array<[string, string]> {
  return [
    ['record', record.id],
    ['node', record.nodeId === '' ? `(${record.stakeType} stake)` : record.nodeId],
    ['staker', record.staker],
    ['status', record.status],
    ['stake', formatSui(record.stakeMist)],
  ];
}

function printOutcome(io: Io, outcome: SlashOutcome): void {
  const { executed } = outcome;
  io.result(
    { ...outcome, executed: executed ?? null },
    table([
      ['proposal', outcome.proposalId],
      ['record', outcome.recordId],
      ['votes', `${outcome.votes} of ${outcome.threshold} needed`],
      ['result', executed ? 'carried out' : 'open: other slashers must vote'],
      ...(executed
        ? [
            ['slashed', formatSui(executed.slashedMist)],
            ['left', formatSui(executed.leftMist)],
            ['record is', executed.isRecordSlashed ? 'slashed for good' : 'still what it was'],
          ]
        : [['next', `k3s-daas slash vote ${outcome.proposalId}`]]),
      ['transaction', outcome.digest],
    ]),
  );
}
