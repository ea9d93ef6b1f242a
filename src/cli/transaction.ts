import { Command } from 'commander';
import { ConfigurationError, Lifetime, messageOf, silentLog } from '#base';
import {
  base64Of,
  type ChainClient,
  type ClusterAct,
  createStakeChain,
  formatSui,
  type GasCost,
  isClusterAct,
  isFoundingAct,
  type MoneyAct,
  plainAct,
  readDeployment,
  readUnsignedTransaction,
  type SignedAct,
  sendClusterAct,
  simulateClusterAct,
  type UnsignedTransaction,
  walletWithoutKey,
  withSignatures,
} from '#chain';
import { readTrustedText } from '#infrastructure';
import {
  confirm,
  type DeploymentOptions,
  type NetworkOptions,
  openClusterReader,
  withDeployment,
  withNetwork,
} from './chain-options.ts';
import { parameterRows } from './cluster-parameters.ts';
import { type Io, table } from './io.ts';
import { defaultJournal, holdJournal, type JournalOptions, withJournal } from './stake-session.ts';
import { foundingJson, foundingRows, throughFounding } from './transaction-founding.ts';

/** `k3s-daas transaction show | send`: what `--unsigned` wrote. */
export function transactionCommand(io: Io): Command {
  const command = new Command('transaction').description(
    'Transactions that a command wrote with --unsigned, to be signed by any wallet.',
  );
  command
    .command('show')
    .description('Show what a transaction does and who has to sign which bytes. Asks no network.')
    .argument('<file>', 'what --unsigned wrote')
    .option('--json', 'print one JSON object and nothing else')
    .action((file: string) => show(io, file));
  withJournal(withDeployment(withNetwork(command.command('send'))))
    .description(
      'Send a transaction with its signatures. It is judged and simulated first, and journaled: killed and run again, it is carried out once.',
    )
    .argument('<file>', 'what --unsigned wrote')
    .requiredOption(
      '--signature <base64>',
      'a signature as Sui wallets give it: of the sender (of a multisig the combined one) and, with --gas-owner, of that wallet',
      (value: string, earlier?: readonly string[]) => [...(earlier ?? []), value],
    )
    .option('--yes', 'send without asking')
    .option('--dry-run', 'judge and simulate, send nothing')
    .action((file: string, options: SendOptions) => send(io, file, options));
  return command;
}

interface SendOptions extends NetworkOptions, DeploymentOptions, JournalOptions {
  readonly signature: string[];
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

async function show(io: Io, file: string): Promise<void> {
  const transaction = await readTransaction(file);
  const { act, sender, gasOwner, digest, expirationEpoch, budgetMist, bytes } = transaction;
  io.result(
    { ...jsonOfAct(act), sender, gasOwner, digest, expirationEpoch, budgetMist, bytes: base64Of(bytes) },
    table([...(await rowsOf(transaction)), ['bytes', base64Of(bytes)]]),
  );
}

async function send(io: Io, file: string, options: SendOptions): Promise<void> {
  const transaction = await readTransaction(file);
  const signed = await withSignatures(transaction, options.signature);
  const { act, sender } = transaction;
  await using life = new Lifetime();
  const way = isFoundingAct(act)
    ? await throughFounding(io, { transaction, act, signed }, options)
    : await throughDeployment(io, { transaction, act, signed }, options, life);
  const rows = table(await rowsOf(transaction));
  if (options.dryRun) {
    // The signed bytes themselves: what would be built now could differ, and its gas may be paid by another wallet.
    const { totalMist } = await way.simulate();
    io.result(
      { dryRun: true, ...jsonOfAct(act), sender, digest: signed.digest, gasMist: totalMist },
      `${rows}\n${table([['gas now', formatSui(totalMist)]])}\nNothing was sent: this was a dry run.`,
    );
    return;
  }
  for (const line of rows.split('\n')) io.note(line);
  await confirm(io, 'Send it?', options);
  const outcome = await way.send();
  io.step('carried out', outcome.digest);
  io.result({ ...jsonOfAct(act), ...outcome }, table(outcomeRows(outcome)));
}

type Signed = Awaited<ReturnType<typeof withSignatures>>;

/** How a signed transaction is tried and sent. */
interface Way {
  readonly simulate: () => Promise<GasCost>;
  readonly send: () => Promise<{ readonly digest: string }>;
}

/** What is done on a cluster that is there. */
async function throughDeployment(
  io: Io,
  {
    transaction,
    act,
    signed,
  }: {
    readonly transaction: UnsignedTransaction;
    readonly act: MoneyAct | ClusterAct;
    readonly signed: Signed;
  },
  options: SendOptions,
  life: Lifetime,
): Promise<Way> {
  await judgeDeployment(transaction, options.deployment);
  const client = await openClusterReader(io, options, transaction.clusterId);
  const { sender } = transaction;
  return isClusterAct(act)
    ? throughCluster(client, act, signed)
    : throughJournal({ client, sender, act, signed }, options, life);
}

/** What is about the cluster needs no journal: the file and the signatures are all there is to keep. */
function throughCluster(client: ChainClient, act: ClusterAct, signed: Signed): Way {
  return {
    simulate: () => simulateClusterAct({ client }, signed),
    send: () => sendClusterAct({ client }, act, signed),
  };
}

/** What moves a stake is journaled, beside what other commands of the wallet have signed. */
async function throughJournal(
  {
    client,
    sender,
    act,
    signed,
  }: {
    readonly client: ChainClient;
    readonly sender: string;
    readonly act: MoneyAct;
    readonly signed: Signed;
  },
  options: JournalOptions,
  life: Lifetime,
): Promise<Way> {
  const journal = await holdJournal(options.journal ?? defaultJournal(sender), life);
  const chain = createStakeChain({ client, wallet: walletWithoutKey(sender), journal, log: silentLog });
  return {
    simulate: () => chain.simulateSigned(act, signed),
    send: () => chain.sendSigned(act, signed),
  };
}

const WORDS: Readonly<Record<string, string>> = {
  digest: 'carried out',
  objectId: 'object',
  tokenId: 'Seal token',
  amountMist: 'amount',
  packageId: 'package',
  clusterId: 'cluster',
  upgradeCapId: 'upgrade cap',
  deployment: 'written',
  fingerprint: 'trust pin',
};

function outcomeRows(outcome: { readonly digest: string }): string[][] {
  return Object.entries(outcome)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]: [string, unknown]) => [
      WORDS[name] ?? name,
      name === 'amountMist' && typeof value === 'bigint' ? formatSui(value) : shown(value),
    ]);
}

async function readTransaction(file: string): Promise<UnsignedTransaction> {
  let text: string;
  try {
    text = await readTrustedText(file, { what: 'the transaction', origin: file });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_TRANSACTION_FILE_INVALID',
      `the transaction file ${file} cannot be read: ${messageOf(cause)}`,
      { cause, details: { file } },
    );
  }
  return readUnsignedTransaction(text, file);
}

/** The file of a stranger could name a package of his own: it has to be the one that the deployment file names. */
async function judgeDeployment(transaction: UnsignedTransaction, file: string): Promise<void> {
  const deployment = await readDeployment(file);
  for (const name of ['chainId', 'packageId'] as const)
    if (transaction[name] !== deployment[name])
      throw new ConfigurationError(
        'DAAS_DEPLOYMENT_MISMATCH',
        `the transaction has the ${name} ${transaction[name]}, the deployment file ${file} says ${deployment[name]}: use the deployment file of that cluster`,
        { details: { name, file } },
      );
}

async function rowsOf({
  act,
  sender,
  gasOwner,
  digest,
  expirationEpoch,
  budgetMist,
  packageId,
  clusterId,
}: UnsignedTransaction): Promise<string[][]> {
  return [
    ['does', act.kind],
    ...(isFoundingAct(act) ? await foundingRows(act) : actRows(act)),
    ...(clusterId !== undefined ? [['cluster', clusterId]] : []),
    ...(clusterId === undefined && packageId !== undefined ? [['package', packageId]] : []),
    ['signed by', sender],
    ...(gasOwner === sender ? [] : [['gas paid by', `${gasOwner}, which signs too`]]),
    ['gas, at most', formatSui(budgetMist)],
    ['digest', digest],
    ['until', `epoch ${expirationEpoch} ends`],
  ];
}

const jsonOfAct = (act: SignedAct) => (isFoundingAct(act) ? foundingJson(act) : plainAct(act));

function actRows(act: MoneyAct | ClusterAct): string[][] {
  if (act.kind === 'schedule-parameters') return parameterRows(act);
  return Object.entries(plainAct(act))
    .filter(([name, value]) => name !== 'kind' && value !== undefined)
    .map(([name, value]) => [name, shown(value)]);
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  return typeof value === 'object' && value !== null ? jsonOf(value) : String(value);
}

/** Amounts are digits in it. */
const jsonOf = (value: object) =>
  JSON.stringify(value, (_name, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner));
