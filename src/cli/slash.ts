import { Command } from 'commander';
import { ConfigurationError } from '#base';
import {
  type ChainClient,
  formatSui,
  operations,
  parametersAt,
  parseSui,
  type SlashExecuted,
  type SlashOutcome,
  slashReadiness,
} from '#chain';
import type { StakeRecord } from '#domain';
import { carryOut } from './carry-out.ts';
import {
  ask,
  type DeploymentOptions,
  formatDuration,
  openClusterActor,
  type SpendOptions,
} from './chain-options.ts';
import { hashOf } from './evidence.ts';
import { type Io, table } from './io.ts';
import {
  addProposalCommands,
  type ProposalOptions,
  proposalJson,
  proposalOf,
  proposalRows,
} from './slash-proposal.ts';
import { untilExecutable } from './slash-watch.ts';
import { idOf } from './sui-address.ts';
import { withClusterAct } from './unsigned.ts';

/** `k3s-daas slash propose | vote | execute | retract | cancel | answer | expire`. */
export function slashCommand(io: Io): Command {
  const command = new Command('slash').description('Slash a stake by the votes of the cluster’s slashers.');
  withClusterAct(command.command('propose'))
    .description(
      'Open a proposal and vote for it. If one vote is enough and there is no challenge time, the slash is executed at once.',
    )
    .option('--node <id>', 'node id of the live stake to slash')
    .option('--record <id>', 'stake record to slash, instead of --node', idOf('--record'))
    .option('--amount <amount>', 'how much to take; `all` for the whole stake', 'all')
    .option('--reason <text>', 'why; public on chain (1 to 256 bytes)')
    .option(
      '--evidence <file|hash>',
      'the evidence, or its SHA-256 (64 hex digits). Only the hash is public; keep the file',
    )
    .action((options: ProposeOptions) => propose(io, options));
  withClusterAct(command.command('vote'))
    .description('Vote for an open proposal.')
    .argument('<proposal>', 'id of the proposal')
    .option('--execute', 'then wait for the votes and the end of the challenge time, and execute the slash')
    .action((id: string, options: VoteOptions) => vote(io, id, options));
  withClusterAct(command.command('execute'))
    .description('Execute a slash that has its votes, after the challenge time. Any wallet can do this.')
    .argument('<proposal>', 'id of the proposal')
    .option('--watch', 'wait for the votes and the end of the challenge time')
    .action((id: string, options: ExecuteOptions) => execute(io, id, options));
  addProposalCommands(command, io);
  return command;
}

interface ProposeOptions extends SpendOptions, DeploymentOptions {
  readonly node?: string;
  readonly record?: string;
  readonly amount: string;
  readonly reason?: string;
  readonly evidence?: string;
}

async function propose(io: Io, options: ProposeOptions): Promise<void> {
  const evidence = options.evidence === undefined ? undefined : await hashOf(options.evidence, '--evidence');
  const actor = await openClusterActor(io, options);
  const record = await recordToSlash(io, actor.client, options);
  const reason = options.reason ?? (await ask(io, 'Reason (public on chain)', '--reason'));
  const amountMist = options.amount === 'all' ? record.stakeMist : parseSui(options.amount, '--amount');
  const { state, nowMs } = await actor.client.clusterState();
  const { slashThreshold, treasury, minimumStakeMist, challengeMs } = parametersAt(state, nowMs);
  const request = { recordId: record.id, amountMist, reason, evidence };
  const plan = await operations.proposeSlash.plan(actor, request);
  const leftMist = record.stakeMist - amountMist;
  const isAtOnce = slashThreshold === 1n && challengeMs === 0n;
  const outcome = await carryOut(io, plan, options, {
    question: 'Propose the slash?',
    facts: [
      ...recordRows(record),
      ['takes', `${formatSui(amountMist)}, to ${treasury}`],
      ['leaves', `${formatSui(leftMist)}${endNote(record, leftMist, minimumStakeMist)}`],
      ['reason', reason],
      ['evidence', evidence ? Buffer.from(evidence).toString('hex') : 'none'],
      ['votes needed', `${slashThreshold}${isAtOnce ? ': it is executed at once' : ''}`],
      ['challenge time', formatDuration(challengeMs)],
      ['wallet', actor.wallet.address],
    ],
    json: {
      recordId: record.id,
      amountMist,
      reason,
      evidence: evidence ? Buffer.from(evidence).toString('hex') : null,
      wallet: actor.wallet.address,
    },
  });
  if (outcome) printOutcome(io, outcome);
}

/** A record ends when less is left than the lower of the minimum now and the minimum when it was staked. */
function endNote(record: StakeRecord, leftMist: bigint, minimumMist: bigint): string {
  const { minimumWhenStakedMist } = record;
  const leastMist = minimumWhenStakedMist < minimumMist ? minimumWhenStakedMist : minimumMist;
  if (leftMist < leastMist) return ': below the minimum, the node is out for good';
  return leftMist < minimumMist
    ? ': below the minimum in force, the node is evicted until it is topped up'
    : '';
}

interface VoteOptions extends ProposalOptions {
  readonly execute?: boolean;
}

async function vote(io: Io, id: string, options: VoteOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const { client, wallet } = actor;
  const proposal = await proposalOf(client, id);
  const { state, nowMs } = await client.clusterState();
  const readiness = slashReadiness(proposal, parametersAt(state, nowMs), nowMs, [wallet.address]);
  const reference = { recordId: proposal.recordId, proposalId: proposal.id };
  const andExecute = Boolean(options.execute) && readiness.kind === 'ready';
  const plan = await operations.voteSlash.plan(actor, { ...reference, andExecute });
  if (options.unsigned !== undefined && options.execute && !andExecute)
    io.warn('The file holds the vote alone: write the execution with `slash execute` once it can be done.');
  const outcome = await carryOut(io, plan, options, {
    question: options.execute ? 'Vote for the slash, and execute it when it can be?' : 'Vote for the slash?',
    facts: proposalRows(proposal, wallet.address),
    json: { ...proposalJson(proposal), wallet: wallet.address, executes: andExecute },
  });
  if (!outcome) return;
  if (!options.execute || andExecute) return printOutcome(io, outcome);
  io.step('voted', outcome.digest);
  await untilExecutable(io, client, proposal.id);
  const executed = await (await operations.executeSlash.plan(actor, reference)).execute();
  printOutcome(io, { ...outcome, digest: executed.digest, executed: executed.executed });
}

interface ExecuteOptions extends ProposalOptions {
  readonly watch?: boolean;
}

async function execute(io: Io, id: string, options: ExecuteOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const proposal = await proposalOf(actor.client, id);
  if (options.watch && !options.dryRun) await untilExecutable(io, actor.client, id);
  const reference = { recordId: proposal.recordId, proposalId: proposal.id };
  const done = await carryOut(io, await operations.executeSlash.plan(actor, reference), options, {
    question: 'Execute the slash?',
    facts: proposalRows(proposal, actor.wallet.address),
    json: { ...proposalJson(proposal), wallet: actor.wallet.address },
  });
  if (done)
    io.result(
      { ...done },
      table([
        ['proposal', proposal.id],
        ['record', proposal.recordId],
        ...executedRows(done.executed),
        ['transaction', done.digest],
      ]),
    );
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
  const { executed, votes, threshold } = outcome;
  const next = votes < threshold ? 'vote' : 'execute';
  io.result(
    { ...outcome, executed: executed ?? null },
    table([
      ['proposal', outcome.proposalId],
      ['record', outcome.recordId],
      ['votes', `${votes} of ${threshold} needed`],
      [
        'result',
        executed
          ? 'executed'
          : `open: ${votes < threshold ? 'other slashers must vote' : 'it can be executed after the challenge time'}`,
      ],
      ...(executed ? executedRows(executed) : [['next', `k3s-daas slash ${next} ${outcome.proposalId}`]]),
      ['transaction', outcome.digest],
    ]),
  );
}

function executedRows({ slashedMist, leftMist, isRecordSlashed }: SlashExecuted): string[][] {
  return [
    ['slashed', formatSui(slashedMist)],
    ['left', formatSui(leftMist)],
    ['record is', isRecordSlashed ? 'slashed for good' : 'still what it was'],
  ];
}
