import { hostname } from 'node:os';
import { Command } from 'commander';
import { DaasError, EXIT, messageOf, systemClock } from '#base';
import { formatSui, type StakeRecord } from '#domain';
import {
  lockInstallation,
  lookAtMachine,
  type Machine,
  type MachineFacts,
  planRemoval,
  planReturn,
  thisMachine,
  unitVariables,
} from '#install';
import { carryOutPlan } from './install.ts';
import { programFiles } from './install-program.ts';
import { installVariables } from './install-variables.ts';
import type { Io } from './io.ts';

interface UninstallFlags {
  readonly gateway?: boolean;
  readonly restoreK3s?: boolean;
  readonly keepStake?: boolean;
  readonly wait: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** `k3s-daas uninstall`: takes the service off the machine, or brings plain k3s back. */
export function uninstallCommand(io: Io): Command {
  return new Command('uninstall')
    .description(
      'Stops and removes the service that `k3s-daas install` made. Pods run on; configuration, keys and state stay. It refuses while the node has an active stake, unless --keep-stake is given.',
    )
    .option('--gateway', 'the service of a gateway')
    .option('--restore-k3s', 'bring plain k3s back as the installation found it; its pods run on')
    .option(
      '--wait <duration>',
      'with --restore-k3s: how long the operator of the cluster may take to give the name back',
      '10m',
    )
    .option('--keep-stake', 'uninstall although the stake is active, or although that cannot be found out')
    .option('--dry-run', 'print every file and every command; change nothing')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON object')
    .action((flags: UninstallFlags) => uninstall(io, flags));
}

async function uninstall(io: Io, flags: UninstallFlags): Promise<void> {
  const role = flags.gateway ? 'gateway' : 'worker';
  const { parseDuration } = await import('./chain-options.ts');
  const waitMs = Number(parseDuration(flags.wait, '--wait'));
  const machine = thisMachine();
  const binDir = installVariables(process.env).text('BIN_DIR') ?? '/usr/local/bin';
  await using _lock = await lockInstallation(machine, flags);
  const facts = await lookAtMachine(machine, role, { binDir, environment: process.env });
  const plan = planRemoval(facts, {
    role,
    restoreK3s: flags.restoreK3s ?? false,
    programFiles: flags.restoreK3s ? [] : await programFiles(binDir),
  });
  if (role === 'worker') {
    const variables = unitVariables(facts, role);
    // A way back that needs the chain is none when the chain is what fails.
    const isTold = flags.keepStake === true || flags.restoreK3s === true;
    await judgeStake(io, variables, isTold);
  }
  const after = async () => {
    if (flags.restoreK3s) await followReturn(io, machine, facts, waitMs);
  };
  await carryOutPlan(io, { plan, flags, facts, role, doing: 'Uninstall', after }, machine);
}

/** The machine is as it was before; its Node is so when the operator has given the name back. */
async function followReturn(io: Io, machine: Machine, facts: MachineFacts, waitMs: number): Promise<void> {
  const plans = planReturn(facts);
  if (!plans) return;
  const { untilPlainNode, lookAtPlainNode } = await import('./plain-return.ts');
  const nodeName = facts.nodeName ?? hostname();
  await untilPlainNode(io, {
    machine,
    plans,
    look: () => lookAtPlainNode(facts.dataDir, nodeName),
    clock: systemClock,
    waitMs,
    nodeName,
  });
}

/** Throws `DAAS_INSTALL_STAKE_ACTIVE` or `DAAS_INSTALL_STAKE_UNKNOWN`, or warns of the same. */
async function judgeStake(io: Io, env: Readonly<Record<string, string>>, isTold: boolean): Promise<void> {
  const problem = await stakeProblem(env);
  if (!problem) return;
  if (!isTold) throw problem;
  io.warn(problem.message);
}

async function stakeProblem(env: Readonly<Record<string, string>>): Promise<DaasError | undefined> {
  let record: StakeRecord | undefined;
  try {
    record = await standingStake(env);
  } catch (cause) {
    return new DaasError(
      'DAAS_INSTALL_STAKE_UNKNOWN',
      `whether this node has an active stake cannot be found out: ${messageOf(cause)}. Correct that, or pass --keep-stake`,
      { cause, exitCode: EXIT.joinDeadline },
    );
  }
  if (record?.status !== 'active') return undefined;
  return activeStake(record);
}

async function standingStake(env: Readonly<Record<string, string>>): Promise<StakeRecord | undefined> {
  const [{ createChainClient }, { loadWorkerSettings, nodeIdOf }, { deploymentOf }, { chainAccessOf }] =
    await Promise.all([
      import('#chain'),
      import('./settings.ts'),
      import('./chain-settings.ts'),
      import('./chain-access.ts'),
    ]);
  const settings = await loadWorkerSettings({ env });
  const deployment = await deploymentOf(settings);
  const chain = createChainClient({ ...(await chainAccessOf(settings)), deployment, clock: systemClock });
  const id = await chain.liveRecordOf(nodeIdOf(settings));
  return id === undefined ? undefined : (await chain.records([id])).get(id);
}

function activeStake({ id, stakeMist, nodeId }: StakeRecord): DaasError {
  return new DaasError(
    'DAAS_INSTALL_STAKE_ACTIVE',
    [
      `the stake of node '${nodeId}' (record ${id}, ${formatSui(stakeMist)}) is active. To get it back, with the wallet that staked:`,
      `  k3s-daas unstake --record ${id}`,
      `and after the unbonding time of the cluster \`k3s-daas withdraw --record ${id}\`. Then uninstall; or pass --keep-stake`,
    ].join('\n'),
    { exitCode: EXIT.configuration, details: { recordId: id, stakeMist: stakeMist.toString() } },
  );
}
