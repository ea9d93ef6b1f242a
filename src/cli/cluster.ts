import { Command } from 'commander';
import { type DeploymentOptions, type NetworkOptions, withDeployment, withNetwork } from './chain-options.ts';
import { type CreateOptions, createCluster } from './cluster-create.ts';
import { addGatewayCommands } from './cluster-gateway.ts';
import { addNodeCommands } from './cluster-nodes.ts';
import { withParameters } from './cluster-parameters.ts';
import { withServers } from './cluster-servers.ts';
import { type SetOptions, setCluster } from './cluster-set.ts';
import { showCluster } from './cluster-show.ts';
import type { Io } from './io.ts';
import { withClusterAct } from './unsigned.ts';

/** `k3s-daas cluster create | show | set | reserve | unreserve | force-unstake | gateway add | gateway status`. */
export function clusterCommand(io: Io): Command {
  const command = new Command('cluster').description('The cluster object on chain: parameters and gateways.');
  withServers(withParameters(withClusterAct(command.command('create'))))
    .description('Create a cluster; the wallet becomes its admin. Writes the deployment file.')
    .option(
      '--package <id>',
      'package id (default: the one in the deployment file, from `contracts publish`)',
    )
    .option(
      '--allow-tiny-tiers',
      'allow tiers below 1 SUI on a public network, where a faucet gives that much away',
    )
    .option(
      '--single-operator',
      'make the wallet the only slasher (threshold 1) and the treasury: its key alone can then take every stake',
    )
    .action((options: CreateOptions) => createCluster(io, options));
  withDeployment(withNetwork(command.command('show')))
    .description('Show the cluster: terms, parameters in force and pending, slashers, servers, gateways.')
    .action((options: NetworkOptions & DeploymentOptions) => showCluster(io, options));
  withServers(withParameters(withClusterAct(command.command('set'))))
    .description(
      'Announce new parameters, in force after the unbonding time and one day, or change a role or the servers at once.',
    )
    .option(
      '--allow-tiny-tiers',
      'allow tiers below 1 SUI on a public network, where a faucet gives that much away',
    )
    .option('--remove-slasher <address>', 'at once: its votes no longer count')
    .option('--raise-threshold <count>', 'at once: votes needed for a slash')
    .option('--offer-admin <address>', 'offer the admin role; nothing changes until it is accepted')
    .option('--accept-admin', 'take over the admin role that was offered to the wallet')
    .option('--accept-treasury', 'as the new treasury of pending parameters, agree to receive slashed coins')
    .action((options: SetOptions) => setCluster(io, options));
  addNodeCommands(command, io);
  addGatewayCommands(command, io);
  return command;
}
