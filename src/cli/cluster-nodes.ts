import type { Command } from 'commander';
import { ConfigurationError } from '#base';
import { formatSui, operations, parametersAt } from '#chain';
import { carryOut } from './carry-out.ts';
import {
  type DeploymentOptions,
  formatDuration,
  openClusterActor,
  type SpendOptions,
} from './chain-options.ts';
import { changeAtOnce } from './cluster-set.ts';
import type { Io } from './io.ts';
import { addressOf } from './sui-address.ts';
import { withClusterAct } from './unsigned.ts';

type NodeOptions = SpendOptions & DeploymentOptions;

/** What the admin decides about node ids: `reserve`, `unreserve`, `force-unstake`. */
export function addNodeCommands(command: Command, io: Io): void {
  withClusterAct(command.command('reserve'))
    .description('As the admin, reserve a node id: only the given address can stake for it.')
    .argument('<node>', 'the node id')
    .requiredOption('--for <address>', 'the wallet that may stake for it')
    .action(async (nodeId: string, options: NodeOptions & { readonly for: string }) => {
      const reservedFor = addressOf(options.for, '--for');
      const actor = await openClusterActor(io, options);
      await changeAtOnce(io, actor, { kind: 'reserve-node-id', nodeId, reservedFor }, options);
    });
  withClusterAct(command.command('unreserve'))
    .description('As the admin, end the reservation of a node id: any wallet can stake for it again.')
    .argument('<node>', 'the node id')
    .action(async (nodeId: string, options: NodeOptions) => {
      const actor = await openClusterActor(io, options);
      await changeAtOnce(io, actor, { kind: 'unreserve-node-id', nodeId }, options);
    });
  withClusterAct(command.command('force-unstake'))
    .description(
      'As the admin, end the stake of a node. Its staker gets the coins back after the unbonding time.',
    )
    .argument('<node>', 'the node id of the live stake')
    .action((nodeId: string, options: NodeOptions) => forceUnstake(io, nodeId, options));
}

async function forceUnstake(io: Io, nodeId: string, options: NodeOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const { client, wallet } = actor;
  const recordId = await client.liveRecordOf(nodeId);
  const record = recordId === undefined ? undefined : (await client.records([recordId])).get(recordId);
  if (!record)
    throw new ConfigurationError(
      'DAAS_STAKE_UNKNOWN',
      `no live stake has the node id '${nodeId}': check the name`,
      {
        details: { nodeId },
      },
    );
  const { state, nowMs } = await client.clusterState();
  const { unbondingMs } = parametersAt(state, nowMs);
  const plan = await operations.forceUnstake.plan(actor, { recordId: record.id });
  const done = await carryOut(io, plan, options, {
    question: 'End this stake?',
    facts: [
      ['node', nodeId],
      ['record', record.id],
      ['staker', record.staker],
      ['stake', `${formatSui(record.stakeMist)}, back to the staker after ${formatDuration(unbondingMs)}`],
      [
        'next',
        `the name is free at once: reserve it with \`k3s-daas cluster reserve ${nodeId} --for ADDRESS\``,
      ],
      ['wallet', wallet.address],
    ],
    json: { nodeId, recordId: record.id, staker: record.staker, wallet: wallet.address },
  });
  if (done)
    io.result(
      { nodeId, recordId: record.id, ...done },
      `The stake of ${nodeId} is unbonding (${done.digest}).`,
    );
}
