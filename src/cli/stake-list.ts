import type { Command } from 'commander';
import { formatSui, type ListedStake, parametersAt, readWallet, type StakeList, stakesOf } from '#chain';
import { holdOf, type StakeRecord } from '#domain';
import { readJournal } from '#infrastructure';
import {
  ask,
  type DeploymentOptions,
  formatTime,
  type NetworkOptions,
  openClusterReader,
  withDeployment,
  withNetwork,
} from './chain-options.ts';
import { type Io, table } from './io.ts';
import { defaultJournal, type JournalOptions, optionsOf, recordsIn, withJournal } from './stake-session.ts';
import { addressOf } from './sui-address.ts';

interface ListOptions extends NetworkOptions, DeploymentOptions, JournalOptions {
  readonly wallet?: string;
  readonly keyFile?: string;
  readonly all?: boolean;
}

/** `k3s-daas stake list`: the stakes of a wallet over all clusters, with what can be done with each now. */
export function addListCommand(command: Command, io: Io): void {
  withJournal(withDeployment(withNetwork(command.command('list'))))
    .description(
      'Show the stakes of a wallet in all clusters of the package, with what can be done with each now. Needs no key.',
    )
    .option('--wallet <address>', 'the wallet')
    .option('--key-file <file>', 'the key of the wallet, instead of its address')
    .option('--all', 'also stakes of which nothing is left')
    .action((_options, self: Command) => list(io, optionsOf<ListOptions>(self)));
}

async function list(io: Io, options: ListOptions): Promise<void> {
  const wallet = await walletAddress(io, options);
  const { endpoints, deployment } = await openClusterReader(io, options);
  const journal = await readJournal(options.journal ?? defaultJournal(wallet));
  const known = recordsIn(journal);
  const found = await stakesOf({ endpoints, packageId: deployment.packageId }, wallet, known);
  if (!found.isComplete)
    io.warn(
      'the full node does not list all events of this wallet: stakes without a Seal token that this machine did not make may be missing. Use another --endpoint, or name them by --record',
    );
  const isShown = ({ record }: ListedStake) => options.all || record.stakeMist > 0n;
  const stakes = found.stakes.filter(isShown);
  const hidden = found.stakes.length - stakes.length;
  io.result(
    {
      wallet,
      epoch: found.epoch,
      nowMs: found.nowMs,
      stakes: stakes.map((stake) => stakeJson(stake, found)),
    },
    stakes.length === 0
      ? `the wallet ${wallet} has no stake in the clusters of package ${deployment.packageId}${hidden > 0 ? ` of which anything is left (${hidden} are over: --all)` : ''}`
      : stakes.map((stake) => table(rowsOf(stake, found))).join('\n\n'),
  );
}

async function walletAddress(io: Io, { wallet, keyFile }: ListOptions): Promise<string> {
  if (keyFile !== undefined) return (await readWallet(keyFile, wallet)).address;
  return addressOf(wallet ?? (await ask(io, 'Wallet address', '--wallet (or --key-file)')), '--wallet');
}

type Now = Pick<StakeList, 'nowMs' | 'epoch'>;

function rowsOf(stake: ListedStake, now: Now): string[][] {
  const { record, token } = stake;
  return [
    [record.stakeType === 'node' ? 'node' : 'stake', record.nodeId || `of type ${record.stakeType}`],
    ['record', record.id],
    ['cluster', record.cluster],
    ['stake', `${formatSui(record.stakeMist)}${slashedNote(record)}`],
    ['status', statusOf(stake, now)],
    ...(token ? [['Seal token', `${token.id}, ${lifeOf(token.expiresAtEpoch, now.epoch)}`]] : []),
    ...(token && record.stakeType !== 'node' ? [['permissions', token.permissions.join(' ')]] : []),
    ['now', nextSteps(stake, now).join('; ')],
  ];
}

function slashedNote({ slashedMist, slashReason }: StakeRecord): string {
  return slashedMist > 0n ? ` (${formatSui(slashedMist)} slashed: ${slashReason})` : '';
}

function statusOf({ record }: ListedStake, { nowMs }: Now): string {
  const { status, unlockAtMs, stakeMist } = record;
  if (status === 'active' || stakeMist === 0n) return status;
  return `${status}, ${nowMs < unlockAtMs ? 'unlocks' : 'unlocked since'} ${formatTime(unlockAtMs)}`;
}

const lifeOf = (expiresAtEpoch: bigint, epoch: bigint) =>
  epoch >= expiresAtEpoch ? 'expired' : `valid until epoch ${expiresAtEpoch} begins (now ${epoch})`;

/** What can be done with a stake now, in words; the commands are named. */
export function nextSteps({ record, token, cluster }: ListedStake, { nowMs, epoch }: Now): string[] {
  const { slashers } = parametersAt(cluster, nowMs);
  const minimumMist = leastOf(record, cluster, nowMs);
  const hold = holdOf(record, slashers, nowMs);
  const held = hold && `a slash proposal holds it until ${formatTime(hold.untilMs)} (slash answer)`;
  if (record.stakeMist === 0n) return ['nothing is left'];
  if (record.status !== 'active') {
    if (held && nowMs >= record.unlockAtMs) return [held];
    if (nowMs < record.unlockAtMs) return [`withdraw from ${formatTime(record.unlockAtMs)} on`];
    return ['withdraw'];
  }
  const steps: string[] = [];
  if (record.stakeMist < minimumMist)
    steps.push(`it is ${formatSui(minimumMist - record.stakeMist)} below the minimum: stake top-up`);
  if (held) steps.push(held);
  if (record.token === undefined)
    steps.push(
      record.stakeType === 'node'
        ? 'no Seal token: stake --holder-key-file'
        : 'no Seal token: token create --permission …',
    );
  else if (token && epoch >= token.expiresAtEpoch) steps.push('the Seal token has expired: token rotate');
  return [...steps, ...(held ? [] : ['stake top-up']), 'token rotate', 'unstake'];
}

function leastOf(
  { stakeType }: ListedStake['record'],
  cluster: ListedStake['cluster'],
  nowMs: number,
): bigint {
  const { minimumStakeMist, tiers } = parametersAt(cluster, nowMs);
  if (stakeType === 'node') return minimumStakeMist;
  return tiers[stakeType === 'admin' ? 2 : 0]?.stakeMist ?? 0n;
}

function stakeJson(stake: ListedStake, now: Now) {
  const { record, token } = stake;
  return {
    record,
    token: token && { ...token, holderKey: Buffer.from(token.holderKey).toString('hex') },
    next: nextSteps(stake, now),
  };
}
