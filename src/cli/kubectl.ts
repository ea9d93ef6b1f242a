import { Command } from 'commander';
import { ConfigurationError } from '#base';
import { namespaceOfWallet } from '#domain';
import { type Io, table } from './io.ts';
import { type NodeWithStake, nodesWithStakes, nodeWithStake } from './kubectl-nodes.ts';
import { type KubectlOptions, readLogin } from './kubectl-tool.ts';
import { stakeCommand } from './stake.ts';

/** `kubectl daas …`, which is this program under the name `kubectl-daas`: stakes beside what kubectl shows. */
export function kubectlCommand(io: Io): Command {
  const command = new Command('kubectl')
    .enablePositionalOptions()
    .description(
      'Stakes beside what kubectl shows. As `kubectl daas …` when this program is on PATH under the name kubectl-daas. It asks by kubectl, with its kubeconfig.',
    );
  withContext(command.command('whoami'))
    .description('Show who this login is, what it may do now, and where.')
    .action((options: KubectlOptions) => whoami(io, options));
  withContext(command.command('nodes'))
    .description('Show the Nodes with their stakes (gateway.stakedNodes) beside them.')
    .action((options: KubectlOptions) => nodes(io, options));
  withContext(command.command('why'))
    .argument('<node>')
    .description('Show why a Node is in the cluster, gets no pods, or is kept out.')
    .action((name: string, options: KubectlOptions) => why(io, name, options));
  withContext(command.command('stake'))
    .description('Show the stakes of the wallet of this login. What follows goes to `k3s-daas stake list`.')
    .argument('[options...]')
    .passThroughOptions()
    .allowUnknownOption()
    .action((rest: readonly string[], options: KubectlOptions) => stake(io, rest, options));
  return command;
}

function withContext(command: Command): Command {
  return command
    .option('--context <name>', 'the context of the kubeconfig')
    .option('--kubeconfig <file>', 'the kubeconfig')
    .option('--json', 'print one JSON object');
}

async function whoami(io: Io, options: KubectlOptions): Promise<void> {
  const login = await readLogin(options);
  const namespace = namespaceOfWallet(login.wallet);
  io.result(
    { ...login, namespace },
    table([
      ['wallet', login.wallet],
      ['stake', login.recordId],
      ['tier', login.tier],
      ['permissions', login.permissions.join(' ') || 'none'],
      ['namespace', namespace],
      ['after a slash', `this login ends within ${login.revokedWithin}`],
    ]),
  );
}

async function nodes(io: Io, options: KubectlOptions): Promise<void> {
  const all = await nodesWithStakes(options);
  const rows = all.map(({ name, isReady, stake: shown }) => [
    name,
    readyText(isReady),
    shown?.stake ?? '-',
    shown?.state ?? '-',
    shown?.tier ?? '-',
    shown?.expires ?? '-',
    shown?.wallet ?? '-',
  ]);
  const head = ['NAME', 'NODE', 'STAKE', 'STATE', 'TIER', 'EXPIRES', 'WALLET'];
  io.result({ nodes: all }, all.length === 0 ? 'no Nodes' : table([head, ...rows]));
}

const readyText = (isReady: boolean | undefined) =>
  isReady === undefined ? 'none' : isReady ? 'Ready' : 'NotReady';

async function why(io: Io, name: string, options: KubectlOptions): Promise<void> {
  const node = await nodeWithStake(name, options);
  if (!node)
    throw new ConfigurationError(
      'DAAS_NODE_NOT_SHOWN',
      `there is no Node and no StakedNode ${name}: \`kubectl daas nodes\` lists them; the operator of the cluster asks \`k3s-daas gateway why ${name}\``,
    );
  io.result(
    { node },
    `${whyText(node)}\nthe whole chain of reasons: k3s-daas gateway why ${name}, on the gateway's machine`,
  );
}

function whyText({ name, isReady, isUnschedulable, taints, stake: shown }: NodeWithStake): string {
  const conditions = shown?.conditions ?? [];
  return table([
    ['Node', `${name}, ${readyText(isReady)}${isUnschedulable ? ', gets no new pods' : ''}`],
    ...(taints.length > 0 ? [['taints', taints.join(' ')]] : []),
    [
      'stake',
      shown ? `${shown.stake} of ${shown.wallet}, ${shown.state}` : 'none is shown (gateway.stakedNodes)',
    ],
    ...conditions.map(({ type, status, reason, message }) => [type, `${status}: ${message} (${reason})`]),
  ]);
}

async function stake(io: Io, rest: readonly string[], options: KubectlOptions): Promise<void> {
  const { wallet } = await readLogin(options);
  await stakeCommand(io).parseAsync(['list', '--wallet', wallet, ...rest], { from: 'user' });
}
