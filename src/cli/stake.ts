import { createPublicKey } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigurationError, type Journal, Lifetime, messageOf, silentLog } from '#base';
import {
  assertTermsNamed,
  type ClusterActor,
  type ClusterSnapshot,
  createStakeChain,
  DEFAULT_GAS_BUDGETS,
  formatSui,
  parametersAt,
  parseSui,
  previewStake,
  type WalletStakeChain,
} from '#chain';
import type { StakeRecord } from '#domain';
import { acquireLock, openJournal, readTrustedText } from '#infrastructure';
import type { ChainReceipt, StakeChain, StakeTerms } from '#plugin';
import { judgeAmount, judgeTerms } from '#plugins';
import {
  ask,
  canAsk,
  confirm,
  costJson,
  costLines,
  type DeploymentOptions,
  gasOf,
  openClusterActor,
  type SpendOptions,
  withDeployment,
  withSpending,
} from './chain-options.ts';
import { type Io, table } from './io.ts';
import { printStanding, type Standing } from './stake-result.ts';
import { termsJson, termsRows } from './stake-terms.ts';

/** `k3s-daas stake`: a stake record, and with a node key its Seal token, without running a worker. */
export function stakeCommand(io: Io): Command {
  return withDeployment(withSpending(new Command('stake')))
    .description(
      'Stake for a node and, if you pass its node key, mint the Seal token in the same transaction. An existing stake or token is shown and not changed.',
    )
    .option('--node-id <id>', 'the Kubernetes node name to stake for')
    .option('--amount <amount>', 'how much to stake (default: the minimum of the cluster)')
    .option(
      '--accept-terms <fingerprint>',
      'with --yes: the fingerprint of the terms you agree to (`cluster show` prints it); other terms are refused',
    )
    .option(
      '--holder-key-file <file>',
      'file with the node key: Ed25519, public (PEM, JWK, 32 bytes in hex or base64) or private (PEM)',
    )
    .option(
      '--journal <file>',
      'keeps signed transactions until they are on chain (default: in ~/.local/state/k3s-daas)',
    )
    .action((options: StakeOptions) => stake(io, options));
}

interface StakeOptions extends SpendOptions, DeploymentOptions {
  readonly nodeId?: string;
  readonly amount?: string;
  readonly acceptTerms?: string;
  readonly holderKeyFile?: string;
  readonly journal?: string;
}

async function stake(io: Io, options: StakeOptions): Promise<void> {
  const nodeId = options.nodeId ?? (await ask(io, 'Node id', '--node-id'));
  const holderKey =
    options.holderKeyFile === undefined ? undefined : await readHolderKey(options.holderKeyFile);
  const actor = await openClusterActor(io, options);
  const snapshot = await actor.client.clusterState();
  const stakeMist =
    options.amount === undefined
      ? parametersAt(snapshot.state, snapshot.nowMs).minimumStakeMist
      : parseSui(options.amount, '--amount');
  const { termsVersion } = snapshot.state;
  const request = { nodeId, stakeMist, termsVersion, ...(holderKey && { holderKey }) };
  await using life = new Lifetime();
  const chain = await openStakeChain(actor, options, life);
  const before = await liveRecord(chain, nodeId);
  if (!before) {
    judgeAmount(stakeMist, { nodeId, parameters: (await chain.cluster()).parameters });
    const cost = await previewStake(actor, request);
    const announcement = { nodeId, stakeMist, wallet: chain.wallet, snapshot, cost, holderKey };
    if (options.dryRun) {
      io.result(
        { dryRun: true, nodeId, stakeMist, wallet: chain.wallet, ...costJson(cost), ...termsJson(snapshot) },
        `${announce(announcement)}\nNothing was sent: this was a dry run.`,
      );
      return;
    }
    for (const line of announce(announcement).split('\n')) io.note(line);
    await consent(io, options, actor);
  } else if (options.dryRun) {
    printStanding(io, await standing(chain, before.id), {});
    return;
  }
  const { staked, minted } = before
    ? await mintForStanding(chain, before, holderKey)
    : await stakeAndMint(chain, request);
  io.step(before ? 'the stake was there already' : 'staked', staked.digest);
  if (minted)
    io.step(before?.token ? 'the Seal token was there already' : 'Seal token minted', minted.digest);
  printStanding(io, await standing(chain, staked.objectId, minted?.objectId), {
    stakeDigest: staked.digest,
    mintDigest: minted?.digest,
  });
}

interface Receipts {
  readonly staked: ChainReceipt;
  readonly minted: ChainReceipt | undefined;
}

async function stakeAndMint(
  chain: StakeChain,
  { holderKey, ...request }: StakeTerms & { readonly holderKey?: Uint8Array },
): Promise<Receipts> {
  if (!holderKey) return { staked: await chain.stakeForNode(request), minted: undefined };
  const staked = await chain.join({ ...request, holderKey });
  const { tokenId, digest, objectId } = staked;
  // Another process may have staked meanwhile: then the token is minted by a call of its own.
  const minted = tokenId
    ? { objectId: tokenId, digest }
    : await chain.createWorkerSealToken({ recordId: objectId, holderKey });
  return { staked, minted };
}

/**
 * The token of a stake that was there already. It never stakes, since nobody was asked: a record that ends meanwhile ends
 * this too. Throws `DAAS_NODE_ID_TAKEN` for the record of another wallet.
 */
export async function mintForStanding(
  chain: Pick<WalletStakeChain, 'wallet' | 'receiptOf' | 'createWorkerSealToken'>,
  record: StakeRecord,
  holderKey: Uint8Array | undefined,
): Promise<Receipts> {
  const { id: recordId, nodeId, staker } = record;
  if (staker !== chain.wallet)
    throw new ConfigurationError(
      'DAAS_NODE_ID_TAKEN',
      `the node id '${nodeId}' is staked by another wallet (${staker}, record ${recordId}): choose another --node-id, or use that wallet`,
      { details: { nodeId, recordId, staker } },
    );
  const staked = await chain.receiptOf(record, holderKey);
  return { staked, minted: holderKey && (await chain.createWorkerSealToken({ recordId, holderKey })) };
}

/** The answer at the terminal is the consent to the terms shown; without a question, --accept-terms is. */
async function consent(io: Io, options: StakeOptions, { client }: ClusterActor): Promise<void> {
  const { acceptTerms } = options;
  const urls = client.endpoints.all.map(({ url }) => url);
  assertTermsNamed(acceptTerms, { chainId: client.deployment.chainId, urls }, '--accept-terms');
  if (!canAsk(io, options) || acceptTerms !== undefined)
    judgeTerms(await client.cluster(), { acceptTerms, setting: '--accept-terms' });
  await confirm(io, 'Stake under these terms?', options);
}

/** What is agreed to, before anything is sent. */
function announce(facts: {
  readonly nodeId: string;
  readonly stakeMist: bigint;
  readonly wallet: string;
  readonly snapshot: ClusterSnapshot;
  readonly cost: Awaited<ReturnType<typeof previewStake>>;
  readonly holderKey: Uint8Array | undefined;
}): string {
  return table([
    ['stakes', `${formatSui(facts.stakeMist)} for node ${facts.nodeId}`],
    ['cluster', facts.snapshot.state.id],
    ...termsRows(facts.snapshot),
    ['wallet', facts.wallet],
    ...costLines(facts.cost),
    [
      'then',
      facts.holderKey ? 'the same transaction mints the Seal token' : 'nothing: no node key was given',
    ],
  ]);
}

/** The record with the token it names; one minted just now may not be named yet by the endpoint that is asked. */
async function standing(chain: StakeChain, recordId: string, mintedId?: string): Promise<Standing> {
  const [records, { epoch }] = await Promise.all([chain.records([recordId]), chain.point()]);
  const record = records.get(recordId);
  const tokenId = mintedId ?? record?.token;
  const token = tokenId === undefined ? undefined : (await chain.tokens([tokenId])).get(tokenId);
  return { record, token, epoch };
}

async function openStakeChain(
  { client, wallet }: ClusterActor,
  options: StakeOptions,
  life: Lifetime,
): Promise<WalletStakeChain> {
  const journal = await holdJournal(options.journal ?? defaultJournal(wallet.address), life);
  const { budgetMist, gasPriceMist } = gasOf(options);
  return createStakeChain({
    client,
    wallet,
    journal,
    log: silentLog,
    gasPriceMist,
    gasBudgets: gasBudgetsOf(budgetMist, gasPriceMist),
  });
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
function defaultJournal(address: string): string {
  const state = process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state');
  return join(state, 'k3s-daas', `stake-${address.slice(2, 18)}.json`);
}

async function liveRecord(chain: StakeChain, nodeId: string): Promise<StakeRecord | undefined> {
  const id = await chain.liveRecordOf(nodeId);
  return id === undefined ? undefined : (await chain.records([id])).get(id);
}

/** The 32 bytes of an Ed25519 public key; of a private PEM, its public half. */
export async function readHolderKey(file: string): Promise<Uint8Array> {
  let text: string;
  try {
    text = (await readTrustedText(file, { what: 'the node key', origin: '--holder-key' })).trim();
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalidHolderKey(file, `it cannot be read: ${messageOf(cause)}`);
  }
  if (/^(?:0x)?[0-9a-fA-F]{64}$/.test(text))
    return Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'));
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return Uint8Array.from(Buffer.from(text, 'base64'));
  try {
    const key = text.startsWith('{')
      ? createPublicKey({ key: JSON.parse(text), format: 'jwk' })
      : createPublicKey(text);
    const jwk = key.export({ format: 'jwk' });
    if (jwk.crv === 'Ed25519' && jwk.x) return Uint8Array.from(Buffer.from(jwk.x, 'base64url'));
  } catch {
    // Said below; the cause might quote a private key.
  }
  throw invalidHolderKey(file, 'it holds no Ed25519 key');
}

function invalidHolderKey(file: string, why: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_HOLDER_KEY_INVALID',
    `the node key file ${file} cannot be used: ${why}. Give a PEM, a JWK, or 32 bytes in hex or base64`,
    { details: { file } },
  );
}
