import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { ConfigurationError, EXIT, hostPort, type Log, type LogFields, systemClock } from '#base';
import type { RunningGateway } from '#gateway';
import type { Settings } from '#infrastructure';
import { makeTrustedDirectory, replaceFile } from '#infrastructure';
import { sayTrust, warnUnproven } from './chain-trust.ts';
import { endpointFigures } from './endpoint-figures.ts';
import { operatorCommands } from './gateway-admin.ts';
import type { GatewayKeyFiles } from './gateway-keys.ts';
import { type Io, notConfirmed, table } from './io.ts';
import type { GatewaySettings } from './settings.ts';

// What `setup` and `run` are made of is loaded by them alone: the Kubernetes client costs a second, and the operator's
// commands are a request to a socket.

/** `k3s-daas gateway setup | run | nodes | evict | ban | unban | bans | release | unlock | breaker`. */
export function gatewayCommand(io: Io): Command {
  const gateway = new Command('gateway').description('The Nautilus gateway beside the k3s server.');
  gateway.addCommand(setupCommand(io));
  gateway.addCommand(runCommand(io));
  for (const command of operatorCommands(io)) gateway.addCommand(command);
  return gateway;
}

interface SetupFlags {
  readonly config?: string;
  readonly adminKubeconfig: string;
  readonly ordinary?: readonly string[];
  readonly reserve?: readonly string[];
  readonly check?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
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
    .option('--check', 'like --dry-run, and exit with 1 when something is missing')
    .option('--yes', 'do not ask before changing the cluster')
    .option('--json', 'print one JSON object')
    .action((flags: SetupFlags) => setup(io, flags));
}

async function setup(io: Io, flags: SetupFlags): Promise<void> {
  const isCheck = Boolean(flags.check || flags.dryRun);
  const [{ foreignVariableWarnings, loadGatewaySettings }, { setupCluster }, { ensureGatewayKeys }] =
    await Promise.all([import('./settings.ts'), import('#cluster'), import('./gateway-keys.ts')]);
  const settings = await loadGatewaySettings({ file: flags.config });
  for (const warning of foreignVariableWarnings(settings)) io.warn(warning);
  const config = await withPaths(settings);
  if (config.kubeconfig === flags.adminKubeconfig)
    throw new ConfigurationError(
      'DAAS_GATEWAY_ADMIN_KUBECONFIG',
      `gateway.kubeconfig is the administrator's own: ${flags.adminKubeconfig}. Name another file; setup writes a kubeconfig with the gateway's least rights there`,
    );
  const twice = flags.ordinary?.find((name) => flags.reserve?.includes(name));
  if (twice !== undefined)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `--ordinary ${twice} lets a node of that name join, --reserve ${twice} lets none: pass one of them`,
    );
  const files = keyFilesOf(config.tls);
  const options = {
    kubeconfig: { path: flags.adminKubeconfig },
    ordinaryNames: flags.ordinary ?? [],
    reservedNames: flags.reserve ?? [],
    allowUnboundNames: config.allowUnboundNames,
  };
  const plan = await setupCluster({ ...options, check: true });
  const missing = await missingFiles([
    files.certFile,
    files.keyFile,
    files.signingKeyFile,
    config.kubeconfig,
  ]);
  for (const shortcoming of plan.shortcomings) io.warn(shortcoming);
  if (isCheck) {
    if (flags.check && plan.changes.length + missing.length > 0) process.exitCode = EXIT.unexpected;
    io.result(
      {
        dryRun: true,
        kubernetesVersion: plan.kubernetesVersion,
        changes: plan.changes,
        missingFiles: missing,
      },
      `${describe(plan.changes, missing)}\nNothing was changed: this was a dry run.`,
    );
    return;
  }
  if (plan.changes.length > 0) {
    io.note(describe(plan.changes, missing));
    if (!flags.yes && !(await io.confirm(`Change the cluster ${config.server} like this?`)))
      throw notConfirmed('nothing was changed: the answer was no');
  }
  const keys = await ensureGatewayKeys(files, hostNamesOf(config.listen.host));
  for (const file of keys.made) io.step('made a key', file);
  const done = await setupCluster(options);
  for (const change of done.changes) io.step(`${change.action} ${change.what}`, change.why);
  if (done.kubeconfig) {
    makeTrustedDirectory(dirname(config.kubeconfig), {
      what: 'the directory of the kubeconfig',
      origin: 'gateway.kubeconfig',
    });
    await replaceFile(config.kubeconfig, done.kubeconfig.reveal(), 0o600);
    io.step("wrote the gateway's kubeconfig", config.kubeconfig);
  }
  const tlsPin = Buffer.from(keys.tlsPin).toString('hex');
  const signingKey = Buffer.from(keys.signingKey).toString('hex');
  io.result(
    {
      kubernetesVersion: done.kubernetesVersion,
      changes: done.changes,
      made: keys.made,
      kubeconfig: config.kubeconfig,
      tlsPin,
      signingKey,
    },
    [
      "The cluster is ready. Next, register the gateway on chain once, with the key of the cluster's admin.",
      'Then put the id that this command prints into gateway.gatewayId:',
      `  k3s-daas cluster gateway add --url ${publicUrlOf(config)} --tls-pin ${tlsPin} --signing-key ${signingKey} --endpoint ${settings.value.chain.endpoints[0]}`,
    ].join('\n'),
  );
}

function runCommand(io: Io): Command {
  return new Command('run')
    .summary('admit workers and watch their stakes')
    .description('Runs the gateway in the foreground. Stop it with Ctrl-C or SIGTERM.')
    .option(
      '-c, --config <file>',
      'the configuration (default: k3s-daas.{json,yaml} in /etc/k3s-daas; users other than root: first here)',
    )
    .option('--json', 'log JSON lines even on a terminal')
    .action((flags: { config?: string }) => run(io, flags));
}

async function run(io: Io, flags: { config?: string }): Promise<void> {
  const { foreignVariableWarnings, loadGatewaySettings } = await import('./settings.ts');
  const settings = await loadGatewaySettings({ file: flags.config });
  const [
    { createChainClient, createChangeFollower },
    { openKubernetes },
    { startGateway },
    { createLogger },
  ] = await Promise.all([
    import('#chain'),
    import('#cluster'),
    import('#gateway'),
    import('#infrastructure'),
  ]);
  const { value } = settings;
  const log = createLogger({
    level: value.log.level,
    format: io.isJson ? 'json' : value.log.format,
  });
  for (const detail of foreignVariableWarnings(settings)) log.warn('Configuration warning', { detail });
  const config = withGatewayId(await withPaths(settings));
  const { deploymentOf } = await import('./chain-settings.ts');
  const deployment = await deploymentOf(settings);
  const { chainAccessOf } = await import('./chain-access.ts');
  const chain = createChainClient({
    ...(await chainAccessOf(settings)),
    deployment,
    clock: systemClock,
    onUnproven: warnUnproven(log),
  });
  sayTrust(deployment, log);
  await using kubernetes = openKubernetes({
    kubeconfig: { path: config.kubeconfig, isPrivate: true },
    log: log.child({ part: 'cluster' }),
  });
  if (!config.allowUnboundNames) {
    const policy = await kubernetes.policyState();
    if (policy.kind === 'not-in-place')
      throw new ConfigurationError(
        'DAAS_POLICY_NOT_IN_PLACE',
        `the policy that binds node names is not in force, so a join credential would admit any name: run 'k3s-daas gateway setup' (${policy.problems.join('; ')})`,
        { details: { problems: policy.problems } },
      );
  }
  await using gateway = await startGateway({
    config,
    clusterId: deployment.clusterId,
    chain,
    follower: createChangeFollower(chain, systemClock),
    kubernetes,
    clock: systemClock,
    log,
    endpoints: value.chain.endpoints.length,
    figures: () => ({ chain_endpoints: chain.endpoints.status().map(endpointFigures) }),
  });
  const facts = {
    url: gateway.listenUrl,
    health: gateway.healthUrl,
    socket: gateway.socketPath,
    gatewayId: config.gatewayId,
    clusterId: deployment.clusterId,
  };
  log.info('Gateway listens', { event: 'gateway.listening', ...facts });
  void sayWhenReady(gateway, log, facts);
  const asked = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => asked.resolve(signal));
  const by = await Promise.race([asked.promise, gateway.ended.then(() => 'its own end')]);
  log.info('Gateway stops', { event: 'gateway.stopping', by });
  endWithin(stopDeadlineMs, () =>
    log.error('The gateway did not stop in time and exits now', {
      event: 'gateway.stop-overdue',
      deadlineMs: stopDeadlineMs,
    }),
  );
}

/** Shorter than what systemd and Kubernetes grant before they kill. */
const stopDeadlineMs = 20_000;

/** Whatever hangs, a connection or a call: what was decided is on disk, but for lock-outs on a full one. */
function endWithin(deadlineMs: number, say: () => void): void {
  setTimeout(() => {
    say();
    process.exit(EXIT.unexpected);
  }, deadlineMs).unref();
}

const patienceMs = 10_000;

/** When `/readyz` says so; and what keeps it from that, if it takes long. */
async function sayWhenReady(gateway: RunningGateway, log: Log, facts: LogFields): Promise<void> {
  const impatience = setTimeout(() => void sayWhatFails(gateway, log), patienceMs).unref();
  try {
    await gateway.untilReady();
    log.info('Gateway is ready', { event: 'gateway.ready', ...facts });
  } catch {
    // It stops: that is said elsewhere.
  } finally {
    clearTimeout(impatience);
  }
}

async function sayWhatFails(gateway: RunningGateway, log: Log): Promise<void> {
  const failing = (await gateway.health()).filter(({ isOk }) => !isOk);
  const detail = failing.map(({ name, detail: why }) => `${name}: ${why}`).join('; ');
  log.warn('Gateway is not ready yet', { event: 'gateway.waiting', detail });
}

function withGatewayId<T extends { readonly gatewayId?: string | undefined }>(
  gateway: T,
): T & { gatewayId: string } {
  const { gatewayId } = gateway;
  if (gatewayId === undefined)
    throw new ConfigurationError(
      'DAAS_GATEWAY_ID_MISSING',
      "gateway.gatewayId is not set: register the gateway on chain ('k3s-daas gateway setup' prints the command) and put the id there",
    );
  return { ...gateway, gatewayId };
}

/** The section, its paths absolute: those in the file are relative to the file. */
async function withPaths(settings: Settings<GatewaySettings>): Promise<GatewaySettings['gateway']> {
  const { pathOf } = await import('./settings.ts');
  const { gateway } = settings.value;
  const path = (name: string, value: string) => pathOf(settings, `gateway.${name}`) ?? value;
  const { socketPath, serverCaFile } = gateway;
  return {
    ...gateway,
    tls: {
      certFile: path('tls.certFile', gateway.tls.certFile),
      keyFile: path('tls.keyFile', gateway.tls.keyFile),
    },
    stateDir: path('stateDir', gateway.stateDir),
    kubeconfig: path('kubeconfig', gateway.kubeconfig),
    ...(socketPath !== undefined && { socketPath: path('socketPath', socketPath) }),
    ...(serverCaFile !== undefined && { serverCaFile: path('serverCaFile', serverCaFile) }),
  };
}

/** Where workers reach it, as far as the configuration tells: where it listens, or else beside the k3s server. */
function publicUrlOf({ listen, server }: GatewaySettings['gateway']): string {
  if (isEverywhere(listen.host)) return `https://${new URL(server).hostname}:${listen.port}`;
  return `https://${hostPort(listen.host, listen.port)}`;
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

/** The signing key lies beside the TLS key. */
function keyFilesOf(tls: GatewaySettings['gateway']['tls']): GatewayKeyFiles {
  return { ...tls, signingKeyFile: join(dirname(tls.keyFile), 'signing.key') };
}

function hostNamesOf(listenHost: string): readonly string[] {
  return [...new Set([...(isEverywhere(listenHost) ? [] : [listenHost]), 'localhost', '127.0.0.1'])];
}

function isEverywhere(listenHost: string): boolean {
  return listenHost === '0.0.0.0' || listenHost === '::';
}

async function missingFiles(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return paths.filter((_, index) => !found[index]);
}

function describe(
  changes: ReadonlyArray<{ action: string; what: string; why: string }>,
  missing: readonly string[],
): string {
  if (changes.length + missing.length === 0) return 'Everything is in place.';
  return table([
    ['ACTION', 'WHAT', 'WHY'],
    ...changes.map(({ action, what, why }) => [action, what, why]),
    ...missing.map((path) => ['make', path, 'the gateway needs it']),
  ]);
}
