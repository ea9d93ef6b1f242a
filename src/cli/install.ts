import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ConfigurationError } from '#base';
import {
  carryOut,
  describeStep,
  expectManaged,
  type HelpTexts,
  installedVariables,
  KEY_MODES,
  type KeyMode,
  lockInstallation,
  lookAtMachine,
  type MachineFacts,
  type Plan,
  planGateway,
  planWorker,
  splitWords,
  stepJson,
  thisMachine,
} from '#install';
import { pooledUnit } from './install-pool.ts';
import { programPath } from './install-program.ts';
import { type InstallVariables, installVariables } from './install-variables.ts';
import { type Io, notConfirmed } from './io.ts';
import { packageVersion } from './package-version.ts';

interface InstallFlags {
  readonly gateway?: boolean;
  readonly config?: string;
  readonly poolFile?: string;
  readonly keys?: KeyMode;
  readonly skipStart?: boolean;
  readonly skipEnable?: boolean;
  readonly startTimeout: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** `k3s-daas install`: the service of a worker or a gateway, in k3s' own manners. */
export function installCommand(io: Io, load: () => Promise<Command>): Command {
  return new Command('install')
    .description(
      'Installs the service of a worker (or, with --gateway, of a gateway) and starts it. On a machine that runs a plain k3s agent it takes its place; the pods run on, and `k3s-daas uninstall --restore-k3s` brings plain k3s back. Safe to run again: it changes only what differs. Variables INSTALL_K3S_DAAS_…: docs/install.md.',
    )
    .usage('[options] [-- flags of k3s agent]')
    .argument(
      '[flags...]',
      'flags of k3s agent for the unit; without them those of the unit that is there stay',
    )
    .option('--gateway', 'the service of a gateway')
    .option('-c, --config <file>', 'the configuration (default: k3s-daas.{json,yaml} in /etc/k3s-daas)')
    .option(
      '--pool-file <file>',
      'the file that `k3s-daas token pool make` wrote for this machine: its node, key and stake',
    )
    .addOption(
      new Option(
        '--keys <how>',
        'how the unit gets its key: it reads the file (at first), systemd hands it over, or opens a sealed copy',
      ).choices(KEY_MODES),
    )
    .option('--skip-start', 'start nothing')
    .option('--skip-enable', 'do not start it at boot')
    .option('--start-timeout <duration>', 'how long the start may take until the Node is Ready', '12m')
    .option('--dry-run', 'print every file, every difference and every command; change nothing')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON object')
    .action((words: readonly string[], flags: InstallFlags) => install({ io, load }, words, flags));
}

interface Installing {
  readonly io: Io;
  /** Gives the whole program, for its manual page and completions. */
  readonly load: () => Promise<Command>;
}

async function install(
  { io, load }: Installing,
  words: readonly string[],
  flags: InstallFlags,
): Promise<void> {
  const variables = installVariables(process.env);
  const role = flags.gateway ? 'gateway' : 'worker';
  const machine = thisMachine();
  const binDir = variables.text('BIN_DIR') ?? '/usr/local/bin';
  await using _lock = await lockInstallation(machine, flags);
  const facts = await lookAtMachine(machine, role, { binDir, environment: process.env });
  const help = await helpTexts(load);
  const plan = flags.gateway
    ? await gatewayPlan({ facts, help, flags, variables })
    : await workerPlan({ facts, help, flags, variables }, words);
  await carryOutPlan(io, { plan, flags, facts, role, doing: 'Install' }, machine);
}

async function helpTexts(load: () => Promise<Command>): Promise<HelpTexts> {
  const [program, { manPage }, { completionScript }] = await Promise.all([
    load(),
    import('./man-page.ts'),
    import('./completion-scripts.ts'),
  ]);
  const commands = program.commands.filter((command) => command.name() !== 'help');
  return {
    manual: manPage(packageVersion(), commands),
    bash: completionScript(program, 'bash'),
    zsh: completionScript(program, 'zsh'),
    fish: completionScript(program, 'fish'),
  };
}

/** What a plan is made from. */
interface Asked {
  readonly facts: MachineFacts;
  readonly help: HelpTexts;
  readonly flags: InstallFlags;
  readonly variables: InstallVariables;
}

async function workerPlan({ facts, help, flags, variables }: Asked, words: readonly string[]): Promise<Plan> {
  const binDir = variables.text('BIN_DIR') ?? '/usr/local/bin';
  const pool = await pooledUnit(flags.poolFile ?? variables.text('POOL_FILE'), [
    ...splitWords(variables.text('EXEC') ?? ''),
    ...words,
  ]);
  const given = pool.words;
  const skipStart = flags.skipStart === true || variables.flag('SKIP_START');
  const environment = { ...environmentOf(flags), ...pool.environment };
  const settings = await workerSettings(installedVariables(facts, 'worker', environment), skipStart);
  return planWorker(facts, {
    program: await programOf(flags, variables),
    // k3s' installer takes `agent` as the first word, too.
    flags: given.length === 0 ? undefined : given.filter((word, at) => at > 0 || word !== 'agent'),
    environment,
    ...settings,
    keyMode: flags.keys,
    help,
    k3s: {
      binDir,
      skipDownload: variables.flag('SKIP_DOWNLOAD'),
      version: variables.text('K3S_VERSION'),
      baseUrl: variables.text('K3S_URL'),
      sha256: variables.text('K3S_SHA256'),
    },
    skipStart,
    skipEnable: flags.skipEnable === true || variables.flag('SKIP_ENABLE'),
    startDeadlineMs: await startDeadlineMs(flags),
  });
}

/** An image may be made before there is a configuration; what starts needs one that is right. */
async function workerSettings(
  env: Readonly<Record<string, string>>,
  skipStart: boolean,
): Promise<{ readonly nodeId: string | undefined; readonly walletKeyFile: string | undefined }> {
  const { loadWorkerSettings, nodeIdOf, pathOf } = await import('./settings.ts');
  try {
    const settings = await loadWorkerSettings({ env });
    return { nodeId: nodeIdOf(settings), walletKeyFile: pathOf(settings, 'wallet.keyFile') };
  } catch (error) {
    if (!skipStart || !(error instanceof ConfigurationError)) throw error;
    return { nodeId: undefined, walletKeyFile: undefined };
  }
}

async function gatewayPlan({ facts, help, flags, variables }: Asked): Promise<Plan> {
  const { loadGatewaySettings, pathOf } = await import('./settings.ts');
  const environment = environmentOf(flags);
  const settings = await loadGatewaySettings({ env: installedVariables(facts, 'gateway', environment) });
  const { gateway } = settings.value;
  return planGateway(facts, {
    program: await programOf(flags, variables),
    environment,
    stateDir: pathOf(settings, 'gateway.stateDir') ?? gateway.stateDir,
    serverCaFile: pathOf(settings, 'gateway.serverCaFile'),
    tlsKeyFile: pathOf(settings, 'gateway.tls.keyFile') ?? gateway.tls.keyFile,
    keyMode: flags.keys,
    help,
    skipStart: flags.skipStart === true || variables.flag('SKIP_START'),
    skipEnable: flags.skipEnable === true || variables.flag('SKIP_ENABLE'),
  });
}

/** A dry run of install.sh shows the place that the program would have. */
async function programOf({ dryRun }: InstallFlags, variables: InstallVariables): Promise<string> {
  const promised = variables.text('PROGRAM');
  if (dryRun && promised !== undefined) return promised;
  return programPath(variables.text('BIN_DIR') ?? '/usr/local/bin');
}

/** `--config` becomes a variable of the unit, which runs in another directory. */
function environmentOf({ config }: InstallFlags): Readonly<Record<string, string | undefined>> {
  const file = config ?? process.env.K3S_DAAS_CONFIG;
  return file ? { ...process.env, K3S_DAAS_CONFIG: resolve(file) } : process.env;
}

async function startDeadlineMs({ startTimeout }: InstallFlags): Promise<number> {
  const { parseDuration } = await import('./chain-options.ts');
  return Number(parseDuration(startTimeout, '--start-timeout'));
}

export interface Undertaking {
  readonly plan: Plan;
  readonly flags: { readonly dryRun?: boolean; readonly yes?: boolean };
  readonly facts: MachineFacts;
  readonly role: string;
  readonly doing: 'Install' | 'Uninstall';
  /** What still has to be waited for, before it is done. */
  readonly after?: () => Promise<void>;
}

/** Shows the plan, asks, and carries it out. */
export async function carryOutPlan(
  io: Io,
  { plan, flags, facts, role, doing, after }: Undertaking,
  machine = thisMachine(),
): Promise<void> {
  const { steps, notes } = plan;
  const json = { role, notes, steps: steps.map(stepJson) };
  if (steps.length === 0) {
    io.result({ ...json, dryRun: flags.dryRun ?? false, changed: false }, 'Everything is in place.');
    return;
  }
  const shown = [...steps.map(describeStep), ...notes.map((note) => `note: ${note}`)];
  if (flags.dryRun) {
    io.result(
      { ...json, dryRun: true, changed: false },
      [...shown, 'Nothing was changed: this was a dry run.'].join('\n'),
    );
    return;
  }
  expectManaged(facts);
  for (const text of shown) io.note(text);
  if (!flags.yes && !(await io.confirm(`${doing} the ${role} like this?`)))
    throw notConfirmed('nothing was changed: the answer was no');
  await carryOut(machine, plan, {
    onDone: (step) => io.step(headline(describeStep(step))),
    onSkipped: (step, why) => io.warn(`not done: ${headline(describeStep(step))}: ${why}`),
    onUndo: () => io.warn('a step failed: the machine is made as it was'),
  });
  await after?.();
  io.result({ ...json, dryRun: false, changed: true }, doneText(doing, role, facts));
}

function headline(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

function doneText(doing: Undertaking['doing'], role: string, { manager }: MachineFacts): string {
  if (doing === 'Uninstall') return `The ${role} is uninstalled.`;
  const unit = role === 'worker' ? 'k3s-agent' : 'k3s-daas-gateway';
  const log = manager?.kind === 'openrc' ? `tail -f /var/log/${unit}.log` : `journalctl -u ${unit} -f`;
  return `The ${role} is installed as ${unit}. Its log: ${log}`;
}
