import { Command, Option } from 'commander';
import { DaasError, Lifetime, systemClock } from '#base';
import { type ChainClient, type ClusterActor, createChainClient, formatSui, parametersAt } from '#chain';
import type { StakeRecord } from '#domain';
import { chainAccessOf } from './chain-access.ts';
import {
  confirm,
  formatDuration,
  formatTime,
  gasOf,
  judgeUnsignedFlags,
  openWalletOf,
  type SpendOptions,
} from './chain-options.ts';
import { deploymentOf, walletOf } from './chain-settings.ts';
import { type Io, table } from './io.ts';
import { type Farewell, openFarewell, sayGoodbye } from './leave-gateway.ts';
import { type Loaded, loadWorkerSettings, nodeIdOf } from './settings.ts';
import { isUntold } from './stake-act.ts';
import { type JournalOptions, openSessionOf, type StakeSession, withJournal } from './stake-session.ts';
import { readWorkerStatus } from './status-source.ts';
import { withUnsigned } from './unsigned.ts';
import { unstakeIn } from './unstake.ts';

interface LeaveOptions extends SpendOptions, JournalOptions {
  readonly config?: string;
  readonly unstake?: boolean;
}

/** The host hears of it with its next heartbeat, and ends agent and pods then. */
const hostEndsWithinMs = 120_000;
const lookEveryMs = 500;

/** `k3s-daas leave`: this worker goes, and its stake too if asked. */
export function leaveCommand(io: Io): Command {
  const command = new Command('leave')
    .description(
      'On the worker: take this node out of its cluster. The gateway moves its pods and removes its Node, and the host ends. Nothing is banned: the same stake lets it in again. With --unstake its stake ends too, as by `k3s-daas unstake`.',
    )
    .option('-c, --config <file>', 'the configuration of the worker')
    .option('--unstake', 'then end the stake: its coins come out after the unbonding time')
    .addOption(
      new Option('--key-file <file>', 'with --unstake: the key of the wallet (default: wallet.keyFile)'),
    )
    .option('--wallet <address>', 'with --unstake: the address of that key; selects one key of a keystore')
    .option('--gas-budget <amount>', 'with --unstake: the most gas to pay')
    .option('--gas-price <mist>', 'with --unstake: MIST for a unit of gas')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show what would happen; ask and send nothing')
    .option('--json', 'print one JSON object and nothing else');
  return withUnsigned(withJournal(command)).action((options: LeaveOptions) => leave(io, options));
}

/** What stands before the worker leaves. */
interface Standing {
  readonly settings: Loaded;
  readonly client: ChainClient;
  readonly nodeId: string;
  /** Undefined: the stake has ended or has no token, and the gateway evicts the node by itself. */
  readonly farewell: Farewell | undefined;
  readonly record: StakeRecord | undefined;
  readonly runningPods: number | undefined;
  readonly isHostUp: boolean;
}

async function leave(io: Io, options: LeaveOptions): Promise<void> {
  judgeUnsignedFlags(options);
  await using life = new Lifetime();
  const standing = await lookAt(options);
  // Whatever speaks against the unstake is found before anything has moved.
  const session = options.unstake ? await openUnstake(io, standing, options, life) : undefined;
  const rows = await announce(standing, session);
  const { nodeId, record, runningPods } = standing;
  const json = {
    nodeId,
    recordId: record?.id ?? session?.record.id ?? null,
    runningPods: runningPods ?? null,
  };
  if (options.dryRun) {
    io.result(
      { dryRun: true, ...json, stakeMist: record?.stakeMist ?? null, unstake: options.unstake ?? false },
      `${table(rows)}\nNothing was sent, nothing was moved: this was a dry run.`,
    );
    return;
  }
  for (const line of table(rows).split('\n')) io.note(line);
  await confirm(io, session ? 'Leave the cluster and end the stake?' : 'Leave the cluster?', options);
  const gateway = await goodbye(io, standing, { mayBeUnknown: session !== undefined });
  const isHostUp = await waitForHost(io, standing);
  const left = { left: true, ...json, gateway: gateway ?? null, hostEnded: !isHostUp };
  if (session) return unstakeIn(io, session, { ...options, yes: true }, left);
  io.result(left, table(afterwards(standing)));
}

async function lookAt({ config }: LeaveOptions): Promise<Standing> {
  const { thisMachine, unitEnvironment } = await import('#install');
  const settings = await loadWorkerSettings({
    file: config,
    // As the host runs: with the variables of its unit.
    env: await unitEnvironment(thisMachine(), process.env),
  });
  const nodeId = nodeIdOf(settings);
  const deployment = await deploymentOf(settings);
  const client = createChainClient({ ...(await chainAccessOf(settings)), deployment, clock: systemClock });
  const id = await client.liveRecordOf(nodeId);
  const record = id === undefined ? undefined : (await client.records([id])).get(id);
  const tokenId = record?.token;
  const token = tokenId === undefined ? undefined : (await client.tokens([tokenId])).get(tokenId);
  const gateways = (await client.cluster()).gateways.filter(({ isLive }) => isLive);
  const farewell =
    record && token
      ? await openFarewell(settings, { nodeId, token, staker: record.staker, gateways })
      : undefined;
  const status = await readWorkerStatus(settings);
  const runningPods = status.running ? status.status.runningPods : undefined;
  return { settings, client, nodeId, farewell, record, runningPods, isHostUp: isUp(status) };
}

function isUp(status: Awaited<ReturnType<typeof readWorkerStatus>>): boolean {
  return status.running || status.offline.pid !== undefined;
}

/** Opens wallet and journal, and judges the unstake as the chain would. */
async function openUnstake(
  io: Io,
  { settings, client, nodeId }: Standing,
  options: LeaveOptions,
  life: Lifetime,
): Promise<StakeSession> {
  const { key, keyFile } = settings.value.wallet;
  const isFromSettings =
    options.keyFile === undefined && options.sender === undefined && (key ?? keyFile) !== undefined;
  const wallet = isFromSettings ? await walletOf(settings) : await openWalletOf(io, options);
  const actor: ClusterActor = { client, wallet, ...gasOf(options) };
  const session = await openSessionOf(io, actor, { ...options, nodeId }, life);
  const act = { kind: 'unstake', recordId: session.record.id } as const;
  if (!isUntold(session, act)) await session.chain.prepareAct(act);
  return session;
}

async function announce(
  { client, nodeId, farewell, record, runningPods, isHostUp }: Standing,
  session: StakeSession | undefined,
): Promise<ReadonlyArray<readonly [string, string]>> {
  const { state, nowMs } = await client.clusterState();
  const { unbondingMs } = parametersAt(state, nowMs);
  const unlocks = `${formatTime(nowMs + Number(unbondingMs))}, ${formatDuration(unbondingMs)} after it is asked for`;
  return [
    ['leaves', `node ${nodeId}`],
    [
      'gateway',
      farewell
        ? 'evicts its pods with their grace, then removes its Node, its name and its join credential'
        : 'nothing to say: no live Seal token stands for the node, and the gateway evicts it by itself',
    ],
    [
      'pods',
      runningPods === undefined ? 'unknown: the host does not answer' : `${runningPods} on this machine`,
    ],
    ['host', isHostUp ? 'ends with exit code 77, and its unit does not start it again' : 'does not run'],
    ['stake', record ? `${formatSui(record.stakeMist)} (record ${record.id})` : 'none that is active'],
    ['unstake', unstakeRow(session ? 'asked' : record ? 'possible' : 'nothing', unlocks)],
  ];
}

function unstakeRow(unstake: 'asked' | 'possible' | 'nothing', unlocks: string): string {
  switch (unstake) {
    case 'asked':
      return `the stake ends: its coins unlock at ${unlocks}`;
    case 'possible':
      return `not asked for (--unstake): the stake stays. Asked for now, it would unlock at ${unlocks}`;
    case 'nothing':
      return 'nothing to end: `k3s-daas stake list` shows what can be withdrawn';
    default:
      return unstake satisfies never;
  }
}

/** Resolves with the URL of the gateway that removed the node. */
async function goodbye(
  io: Io,
  { farewell, nodeId }: Standing,
  { mayBeUnknown }: { readonly mayBeUnknown: boolean },
): Promise<string | undefined> {
  if (!farewell) return undefined;
  try {
    const { url } = await sayGoodbye(farewell, (gateway) =>
      io.note(`${gateway.url} evicts the pods of ${nodeId} and removes its Node`),
    );
    io.step(`${nodeId} has left the cluster`, url);
    return url;
  } catch (error) {
    const isUnknown = error instanceof DaasError && error.code === 'DAAS_LEAVE_UNKNOWN';
    if (!isUnknown || !mayBeUnknown) throw error;
    io.warn(error.message);
    return undefined;
  }
}

/** Whether it still runs when the wait is over. */
async function waitForHost(io: Io, { settings, isHostUp }: Standing): Promise<boolean> {
  if (!isHostUp) return false;
  const deadlineMs = systemClock.monotonicMs() + hostEndsWithinMs;
  while (systemClock.monotonicMs() < deadlineMs) {
    if (!isUp(await readWorkerStatus(settings))) {
      io.step('the host has ended');
      return false;
    }
    await systemClock.sleep(lookEveryMs);
  }
  io.warn(
    `the host of ${nodeIdOf(settings)} still runs: it ends when a heartbeat reaches the gateway; or stop it: systemctl stop k3s-agent`,
  );
  return true;
}

function afterwards({ nodeId, record }: Standing): Array<[string, string]> {
  return [
    ['left', nodeId],
    [
      'stake',
      record ? `${formatSui(record.stakeMist)} stay locked: k3s-daas unstake --record ${record.id}` : 'none',
    ],
    [
      'stay out',
      'the unit starts again with the machine: systemctl disable k3s-agent, or k3s-daas uninstall',
    ],
    ['come back', 'systemctl start k3s-agent'],
  ];
}
