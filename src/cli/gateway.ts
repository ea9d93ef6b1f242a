import { Command } from 'commander';
import { ConfigurationError } from '#base';
import { operatorCommands } from './gateway-admin.ts';
import type { AuthorizerFlags } from './gateway-authorizer.ts';
import type { FenceFlags } from './gateway-fence.ts';
import { operatorsCommand } from './gateway-operators.ts';
import type { RightsFlags } from './gateway-rights.ts';
import type { SetupFlags } from './gateway-setup.ts';
import { stateCommand } from './gateway-state.ts';
import type { TokenReviewFlags } from './gateway-token-review.ts';
import type { Io } from './io.ts';

// Each command loads what it runs on when it runs: the Kubernetes client alone costs a second, and the operator's commands
// are a request to a socket.

/** `k3s-daas gateway setup | run | state | operator | nodes | evict | ban | unban | bans | release | unlock | breaker`. */
export function gatewayCommand(io: Io): Command {
  const gateway = new Command('gateway').description('The Nautilus gateway beside the k3s server.');
  gateway.addCommand(setupCommand(io));
  gateway.addCommand(runCommand(io));
  gateway.addCommand(authorizerCommand(io));
  gateway.addCommand(tokenReviewCommand(io));
  gateway.addCommand(rightsCommand(io));
  gateway.addCommand(fenceCommand(io));
  gateway.addCommand(stateCommand(io));
  gateway.addCommand(operatorsCommand(io));
  gateway.addCommand(authorizerProcessCommand(), { hidden: true });
  for (const command of operatorCommands(io)) gateway.addCommand(command);
  return gateway;
}

function setupCommand(io: Io): Command {
  return new Command('setup')
    .summary('prepare this machine and the cluster')
    .description(
      "Makes the gateway's keys, reserves the names of existing Nodes so that stakers cannot claim them, installs the policies, and gives the gateway its least rights. Safe to run again: it changes only what differs.",
    )
    .option(
      '-c, --config <file>',
      'the configuration (default: k3s-daas.{json,yaml} in /etc/k3s-daas; users other than root: first here)',
    )
    .option('--admin-kubeconfig <file>', "an administrator's kubeconfig", '/etc/rancher/k3s/k3s.yaml')
    .option(
      '--ordinary <name>',
      'let a node of this name join without a stake within 15 minutes (repeatable)',
      nodeNames('--ordinary'),
    )
    .option(
      '--reserve <name>',
      'let no node use this name: a server without a Node, a node that is off (repeatable)',
      nodeNames('--reserve'),
    )
    .option('--dry-run', 'show the changes, make none')
    .option(
      '--check',
      'like --dry-run, and exit with 1 when something is missing; when nothing is, try the policies out',
    )
    .option('--print', 'print the manifests, as kubectl takes them, and ask no cluster')
    .option('--remove', 'take everything that setup has written out of the cluster')
    .option(
      '--server-files',
      'as root on a k3s server: also write what its API server needs for the authorizer; with --remove and --print these files alone',
    )
    .option('--k3s-config-dir <directory>', 'where k3s reads its configuration', '/etc/rancher/k3s')
    .option('--k3s-data-dir <directory>', 'the data directory of k3s', '/var/lib/rancher/k3s')
    .option('--unit-dir <directory>', 'where units of systemd go', '/etc/systemd/system')
    .option('--yes', 'do not ask before changing the cluster')
    .option('--json', 'print one JSON object')
    .action(async (flags: SetupFlags) => {
      const { setupGateway } = await import('./gateway-setup.ts');
      await setupGateway(io, flags);
    });
}

function runCommand(io: Io): Command {
  return new Command('run')
    .summary('admit workers and watch their stakes')
    .description(
      'Runs the gateway in the foreground. Stop it with Ctrl-C or SIGTERM; SIGHUP reloads certificate and configuration.',
    )
    .option(
      '-c, --config <file>',
      'the configuration (default: k3s-daas.{json,yaml} in /etc/k3s-daas; users other than root: first here)',
    )
    .option(
      '--check',
      'only check: configuration, keys, chain, cluster; exit with 1 when something prevents a start',
    )
    .option('--json', 'log JSON lines even on a terminal; with --check: print one JSON object')
    .action(async (flags: { config?: string; check?: boolean }) => {
      const { runGateway } = await import('./gateway-run.ts');
      await runGateway(io, flags);
    });
}

function authorizerCommand(io: Io): Command {
  return new Command('authorizer')
    .summary('keep the authorization files of a k3s server, as root')
    .description(
      'Writes the AuthorizationConfiguration of the API server and its kubeconfig, with the names that are banned, and what the gateway has to know of the server’s own certificates; then follows changes.',
    )
    .option('-c, --config <file>', 'the gateway’s configuration')
    .option('--dir <directory>', 'where the API server’s files go', '/var/lib/rancher/k3s/server/k3s-daas')
    .option('--certificates <directory>', 'the agent directory of k3s', '/var/lib/rancher/k3s/agent')
    .option('--old-server', 'for Kubernetes 1.32 and 1.33, which cannot leave answers uncached')
    .option('--once', 'write the files and end')
    .option('--print', 'print the AuthorizationConfiguration, write nothing')
    .option('--json', 'print one JSON object')
    .action(async (flags: AuthorizerFlags) => {
      const { serveAuthorizerFiles } = await import('./gateway-authorizer.ts');
      await serveAuthorizerFiles(io, flags);
    });
}

function tokenReviewCommand(io: Io): Command {
  return new Command('token-review')
    .summary('let the API server of a k3s server ask whose kubectl it hears, as root')
    .description(
      'Writes the kubeconfig by which the API server asks the gateway about bearer tokens, and prints the flags of the API server that use it. Once on each server.',
    )
    .option('-c, --config <file>', 'the gateway’s configuration')
    .option('--dir <directory>', 'where the API server’s file goes', '/var/lib/rancher/k3s/server/k3s-daas')
    .option('--json', 'print one JSON object')
    .action(async (flags: TokenReviewFlags) => {
      const { writeTokenReviewFile } = await import('./gateway-token-review.ts');
      await writeTokenReviewFile(io, flags);
    });
}

function rightsCommand(io: Io): Command {
  return new Command('rights')
    .summary('show what a wallet may do in Kubernetes today')
    .description(
      'Shows for each permission of the Seal tokens of a wallet which role it is mapped to, where it counts, and what is missing if it does not: by the stakes on chain now and this configuration.',
    )
    .requiredOption('--wallet <address>', 'the wallet')
    .option('-c, --config <file>', 'the gateway’s configuration')
    .option('--json', 'print one JSON object')
    .action(async (flags: RightsFlags) => {
      const { showRights } = await import('./gateway-rights.ts');
      await showRights(io, flags);
    });
}

function fenceCommand(io: Io): Command {
  const each = (text: string, before?: readonly string[]) => [...(before ?? []), text];
  return new Command('fence')
    .summary('keep banned nodes away from the ports of a k3s server, as root')
    .description(
      'Drops what comes from, and goes to, the addresses from which banned nodes have connected to the gateway (gateway.fence: peers), by nftables or a program of yours, and ends their connections; then follows changes.',
    )
    .option('-c, --config <file>', 'the gateway’s configuration')
    .option(
      '--port <number>',
      'a TCP port of this server (repeatable; default: that of gateway.server)',
      ports,
    )
    .option('--spare <address>', 'an address or a range that is never fenced (repeatable)', each)
    .option('--command <program>', 'tell this program the addresses, in place of nftables')
    .option('--once', 'build the fence and end')
    .option('--print', 'print the rules, build nothing')
    .option('--counters', 'show what was dropped, and end')
    .option('--remove', 'take the fence away')
    .option('--json', 'print one JSON object')
    .action(async (flags: FenceFlags) => {
      const { serveFence } = await import('./gateway-fence.ts');
      await serveFence(io, flags);
    });
}

function ports(text: string, before?: readonly number[]): readonly number[] {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return [...(before ?? []), port];
  throw new ConfigurationError(
    'DAAS_COMMAND_LINE_INVALID',
    `--port: '${text}' is no TCP port: give one from 1 to 65535`,
  );
}

/** Started by the gateway itself, which feeds it. */
function authorizerProcessCommand(): Command {
  return new Command('authorizer-process').action(async () => {
    if (!process.send)
      throw new ConfigurationError(
        'DAAS_COMMAND_LINE_INVALID',
        'gateway authorizer-process is started by the gateway itself: use gateway run',
      );
    const { runAuthorizerProcess } = await import('#authorizer');
    runAuthorizerProcess();
    // It ends with the channel to the gateway.
    await new Promise(() => undefined);
  });
}

/** Names of ordinary nodes: DNS subdomains (RFC 1123), which may have dots. Throws `DAAS_NODE_NAME_INVALID`. */
function nodeNames(flag: string): (text: string, before?: readonly string[]) => readonly string[] {
  const label = '[a-z0-9]([a-z0-9-]*[a-z0-9])?';
  const form = new RegExp(`^${label}(\\.${label})*$`);
  return (text, before) => {
    if (text.length <= 253 && form.test(text)) return [...(before ?? []), text];
    throw new ConfigurationError(
      'DAAS_NODE_NAME_INVALID',
      `${flag}: '${text}' is not a name of a Kubernetes Node. Use lower-case letters, digits, hyphens and dots, at most 253`,
      { details: { origin: flag, value: text } },
    );
  };
}
