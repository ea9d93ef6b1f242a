import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ConfigurationError, type Journal, type Lifetime, silentLog } from '#base';
import {
  type ClusterActor,
  createStakeChain,
  DEFAULT_GAS_BUDGETS,
  stakeRecordOf,
  stakesOf,
  type WalletStakeChain,
} from '#chain';
import type { StakeRecord } from '#domain';
import { acquireLock, openJournal } from '#infrastructure';
import {
  ask,
  type DeploymentOptions,
  gasOf,
  judgeUnsignedFlags,
  openClusterActor,
  type SpendOptions,
  withDeployment,
  withSpending,
} from './chain-options.ts';
import type { Io } from './io.ts';
import { idOf } from './sui-address.ts';
import { withUnsigned } from './unsigned.ts';

export interface JournalOptions {
  readonly journal?: string;
}

/** Which stake a command is about. */
export interface StakeOptions extends SpendOptions, DeploymentOptions, JournalOptions {
  readonly nodeId?: string;
  readonly record?: string;
}

export function withJournal(command: Command): Command {
  return command.option(
    '--journal <file>',
    'keeps signed transactions until they are on chain (default: in ~/.local/state/k3s-daas)',
  );
}

/** Options of every command about a stake that stands. */
export function withStake(command: Command): Command {
  return withUnsigned(withJournal(withDeployment(withSpending(command))))
    .option('--node-id <id>', 'the node whose stake it is')
    .option(
      '--record <id>',
      'the stake record, instead of --node-id; of any cluster of the package',
      idOf('--record'),
    );
}

/**
 * The options of a subcommand whose parent has an action of its own: commander gives the parent each flag that both know,
 * wherever it stands.
 */
export function optionsOf<T extends object>(command: Command): T {
  const given = (command.parent?.options ?? [])
    .map((option) => option.attributeName())
    .filter((name) => command.parent?.getOptionValueSource(name) === 'cli')
    .map((name) => [name, command.parent?.getOptionValue(name) as unknown]);
  return { ...command.opts<T>(), ...Object.fromEntries(given) };
}

/** A wallet's stakes, with the journal that makes its transactions safe to kill. */
export interface StakeSession {
  readonly actor: ClusterActor;
  readonly chain: WalletStakeChain;
  readonly journal: Journal;
  /** The stake that the command is about. */
  readonly record: StakeRecord;
}

/**
 * Opens journal and chain, settles what an earlier run had signed (not in a dry run), and finds the stake. `isWanted` chooses
 * among the ended stakes of a node.
 */
export async function openStakeSession(
  io: Io,
  options: StakeOptions,
  life: Lifetime,
  isWanted: (record: StakeRecord) => boolean = isActive,
): Promise<StakeSession> {
  judgeUnsignedFlags(options);
  const named = await openClusterActor(io, options);
  const actor = await inClusterOf(io, named, options);
  return openSessionOf(io, actor, options, life, isWanted);
}

/** The same for an actor that is there already. */
export async function openSessionOf(
  io: Io,
  actor: ClusterActor,
  options: Omit<StakeOptions, 'deployment'>,
  life: Lifetime,
  isWanted: (record: StakeRecord) => boolean = isActive,
): Promise<StakeSession> {
  const { chain, journal } = await openStakeChain(actor, options, life);
  if (!options.dryRun && options.unsigned === undefined) {
    const settled = await chain.settlePending();
    if (settled) io.step('settled the transaction of an earlier run', settled.digest);
  }
  const known = recordsIn(journal);
  return { actor, chain, journal, record: await recordOf(io, { actor, known }, options, isWanted) };
}

const isActive = ({ status }: StakeRecord) => status === 'active';

/** The record may be of another cluster of the package than the deployment file names: then the command acts there. */
async function inClusterOf(io: Io, named: ClusterActor, options: StakeOptions): Promise<ClusterActor> {
  if (options.record === undefined) return named;
  const { deployment, endpoints } = named.client;
  const record = await stakeRecordOf({ endpoints, packageId: deployment.packageId }, options.record);
  if (!record) throw unknownStake(`the package has no stake record ${options.record}: check the id`);
  if (record.cluster === deployment.clusterId) return named;
  io.note(`the record is of cluster ${record.cluster}`);
  return openClusterActor(io, options, record.cluster);
}

/** The stake records that a journal has receipts of: a full node that keeps no old events does not name them. */
export function recordsIn(journal: Pick<Journal, 'keys' | 'read'>): string[] {
  return journal.keys().flatMap((key) => {
    const [, , , kind, subject] = /(?:^|\/)receipt\/([^/]+)\/([^/]+)\/([^/]+)\/([^/]+)/.exec(key) ?? [];
    if (kind === undefined) return [];
    if (kind !== 'stake' && kind !== 'join' && kind !== 'join-person')
      return subject === undefined ? [] : [subject];
    const { objectId } = journal.read(key) as { readonly objectId?: string };
    return objectId === undefined ? [] : [objectId];
  });
}

async function recordOf(
  io: Io,
  { actor: { client, wallet }, known }: { readonly actor: ClusterActor; readonly known: readonly string[] },
  options: Omit<StakeOptions, 'deployment'>,
  isWanted: (record: StakeRecord) => boolean,
): Promise<StakeRecord> {
  const { record: id } = options;
  const nodeId =
    id === undefined ? (options.nodeId ?? (await ask(io, 'Node id', '--node-id (or --record)'))) : undefined;
  const found = id ?? (await client.liveRecordOf(nodeId ?? ''));
  const live = found === undefined ? undefined : (await client.records([found])).get(found);
  if (live && (id !== undefined || isWanted(live))) return live;
  const { endpoints, deployment } = client;
  const { packageId } = deployment;
  const { stakes } = await stakesOf({ endpoints, packageId }, wallet.address, known);
  const ended = stakes
    .map(({ record }) => record)
    .filter((record) => record.nodeId === nodeId && record.cluster === deployment.clusterId);
  const chosen = ended.findLast(isWanted) ?? live ?? ended.at(-1);
  if (chosen) return chosen;
  throw unknownStake(
    `the wallet ${wallet.address} has no stake for node '${nodeId}' in cluster ${deployment.clusterId}: \`k3s-daas stake list\` shows the stakes it has`,
  );
}

function unknownStake(message: string): ConfigurationError {
  return new ConfigurationError('DAAS_STAKE_UNKNOWN', message);
}

export async function openStakeChain(
  { client, wallet }: ClusterActor,
  options: SpendOptions & JournalOptions,
  life: Lifetime,
): Promise<{ readonly chain: WalletStakeChain; readonly journal: Journal }> {
  const journal = await holdJournal(options.journal ?? defaultJournal(wallet.address), life);
  const { budgetMist, gasPriceMist } = gasOf(options);
  const chain = createStakeChain({
    client,
    wallet,
    journal,
    log: silentLog,
    gasPriceMist,
    gasBudgets: gasBudgetsOf(budgetMist, gasPriceMist),
  });
  return { chain, journal };
}

/** Computation costs the price that is offered: the default budgets leave room for a thousand units of it. */
function gasBudgetsOf(budgetMist: bigint | undefined, gasPriceMist = 0n) {
  const { stakeMist, mintMist } = DEFAULT_GAS_BUDGETS;
  const more = 2_000n * gasPriceMist;
  return { stakeMist: budgetMist ?? stakeMist + more, mintMist: budgetMist ?? mintMist + more };
}

/**
 * For one process at a time (`DAAS_LOCK_HELD`): a second one would write over what the first has signed, and two
 * transactions signed at once with one gas coin lock that coin until the epoch ends.
 */
export async function holdJournal(file: string, life: Lifetime): Promise<Journal> {
  life.use('journal lock', await acquireLock(`${file}.lock`, `the journal ${file}`));
  return openJournal(file);
}

/** One journal a wallet, so that a command that is run again after a crash finds what it had sent. */
export function defaultJournal(address: string): string {
  const state = process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state');
  return join(state, 'k3s-daas', `stake-${address.slice(2, 18)}.json`);
}
