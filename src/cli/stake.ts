import { Command, Option } from 'commander';
import { ConfigurationError, Lifetime } from '#base';
import {
  type ClusterActor,
  type ClusterSnapshot,
  formatSui,
  parametersAt,
  parseSui,
  previewStake,
  type WalletStakeChain,
} from '#chain';
import type { StakeRecord } from '#domain';
import type { ChainReceipt, StakeChain, StakeTerms } from '#plugin';
import { judgeAmount } from '#plugins';
import {
  ask,
  confirm,
  costJson,
  costLines,
  type DeploymentOptions,
  judgeUnsignedFlags,
  openClusterActor,
  type SpendOptions,
  withDeployment,
  withSpending,
} from './chain-options.ts';
import { readHolderKey } from './holder-key.ts';
import { type Io, table } from './io.ts';
import { withLoginKey } from './login-key.ts';
import { addListCommand } from './stake-list.ts';
import { printStanding, type Standing } from './stake-result.ts';
import { openStakeChain, withJournal } from './stake-session.ts';
import { termsJson, termsRows } from './stake-terms.ts';
import { addTopUpCommand } from './stake-top-up.ts';
import { judgeConsent } from './terms-consent.ts';
import { withUnsigned, writeUnsigned } from './unsigned.ts';

/** `k3s-daas stake`, with `top-up` and `list` below it: a stake record, and with a node key its Seal token, without running a worker. */
export function stakeCommand(io: Io): Command {
  const command = withLoginKey(withUnsigned(withJournal(withDeployment(withSpending(new Command('stake'))))))
    .description(
      'Stake for a node and, if you pass its node key, mint the Seal token in the same transaction; or for the use of kubectl (--for user, --for admin). An existing stake or token is shown and not changed.',
    )
    .addOption(
      new Option('--for <whom>', 'what the stake is for: a node, or a person’s kubectl')
        .choices(['node', 'user', 'admin'])
        .default('node'),
    )
    .option(
      '--permission <resource:verb>',
      'for people: what the Seal token is to grant (repeatable; default: all that the stake grants)',
      (value: string, earlier: string[] | undefined) => [...(earlier ?? []), value],
    )
    .option(
      '--login <file>',
      'for people: where the login file goes, with its key beside it (default: ~/.config/k3s-daas/login.json)',
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
    .action(async (options: StakeOptions & { readonly for: string }) => {
      if (options.for === 'node') return stake(io, options);
      refuseNodeFlags(options);
      const { stakeForPerson } = await import('./stake-person.ts');
      await stakeForPerson(io, options as StakeOptions & { readonly for: 'user' | 'admin' });
    });
  addTopUpCommand(command, io);
  addListCommand(command, io);
  return command;
}

interface StakeOptions extends SpendOptions, DeploymentOptions {
  readonly nodeId?: string;
  readonly amount?: string;
  readonly acceptTerms?: string;
  readonly holderKeyFile?: string;
  readonly journal?: string;
}

/** A person has no node. */
function refuseNodeFlags({ nodeId }: StakeOptions): void {
  if (nodeId === undefined) return;
  throw new ConfigurationError(
    'DAAS_FLAGS_CONFLICT',
    "--node-id is for a node's stake, and --for names a person: leave one of them out",
  );
}

async function stake(io: Io, options: StakeOptions): Promise<void> {
  judgeUnsignedFlags(options);
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
  const { chain } = await openStakeChain(actor, options, life);
  const before = await liveRecord(chain, nodeId);
  if (options.unsigned !== undefined)
    return stakeUnsigned(io, { chain, before, request, snapshot, actor }, options);
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
    await judgeConsent(io, options, actor.client);
    await confirm(io, 'Stake under these terms?', options);
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

interface UnsignedStake {
  readonly chain: WalletStakeChain;
  /** The stake that stands already: then the transaction mints its Seal token. */
  readonly before: StakeRecord | undefined;
  readonly request: StakeTerms & { readonly termsVersion: bigint; readonly holderKey?: Uint8Array };
  readonly snapshot: ClusterSnapshot;
  readonly actor: ClusterActor;
}

/** Who signs the file agrees to the terms: they are shown here, and in `cluster show`. */
async function stakeUnsigned(
  io: Io,
  { chain, before, request, snapshot, actor }: UnsignedStake,
  options: StakeOptions,
): Promise<void> {
  const { nodeId, stakeMist, holderKey } = request;
  const { deployment } = actor.client;
  if (before) {
    assertOwner(before, chain.wallet);
    assertMintable(before, holderKey);
    const act = { kind: 'mint', recordId: before.id, holderKey } as const;
    const facts = [['mints', `the Seal token of node ${nodeId}, record ${before.id}`]] as const;
    return writeUnsigned(io, { chain, deployment, act, facts }, options);
  }
  judgeAmount(stakeMist, { nodeId, parameters: (await chain.cluster()).parameters });
  const act = holderKey
    ? ({ kind: 'join', ...request, holderKey } as const)
    : ({ kind: 'stake', ...request } as const);
  const facts = [
    ['stakes', `${formatSui(stakeMist)} for node ${nodeId}`] as const,
    ...termsRows(snapshot),
    ['wallet', chain.wallet] as const,
  ];
  await writeUnsigned(io, { chain, deployment, act, facts }, options);
}

/** Throws unless a Seal token can be minted of a stake that stands. */
function assertMintable(
  { id, token }: StakeRecord,
  holderKey: Uint8Array | undefined,
): asserts holderKey is Uint8Array {
  if (token !== undefined)
    throw new ConfigurationError(
      'DAAS_TOKEN_EXISTS',
      `the stake record ${id} has the Seal token ${token} already: \`k3s-daas token rotate\` replaces it`,
      { details: { recordId: id, tokenId: token } },
    );
  if (!holderKey)
    throw new ConfigurationError(
      'DAAS_FLAG_MISSING',
      `the stake record ${id} stands, and there is nothing to sign without a node key: pass --holder-key-file for its Seal token`,
      { details: { flag: '--holder-key-file' } },
    );
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
  assertOwner(record, chain.wallet);
  const { id: recordId } = record;
  const staked = await chain.receiptOf(record, holderKey);
  return { staked, minted: holderKey && (await chain.createWorkerSealToken({ recordId, holderKey })) };
}

function assertOwner({ id: recordId, nodeId, staker }: StakeRecord, wallet: string): void {
  if (staker === wallet) return;
  throw new ConfigurationError(
    'DAAS_NODE_ID_TAKEN',
    `the node id '${nodeId}' is staked by another wallet (${staker}, record ${recordId}): choose another --node-id, or use that wallet`,
    { details: { nodeId, recordId, staker } },
  );
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

async function liveRecord(chain: StakeChain, nodeId: string): Promise<StakeRecord | undefined> {
  const id = await chain.liveRecordOf(nodeId);
  return id === undefined ? undefined : (await chain.records([id])).get(id);
}
