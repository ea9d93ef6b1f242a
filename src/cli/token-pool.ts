import { join } from 'node:path';
import type { Command } from 'commander';
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
import { isNodeId } from '#domain';
import { makeTrustedDirectory, replaceFile } from '#infrastructure';
import { judgeAmount } from '#plugins';
import {
  confirm,
  costLines,
  type DeploymentOptions,
  openClusterActor,
  parseCount,
  type SpendOptions,
  withDeployment,
  withSpending,
} from './chain-options.ts';
import { type Io, table } from './io.ts';
import { makePoolKey, nodeOfPoolFile, type PoolFile, readPoolFile, writePoolFile } from './pool-file.ts';
import { type JournalOptions, openStakeChain, withJournal } from './stake-session.ts';
import { termsRows } from './stake-terms.ts';
import { judgeConsent } from './terms-consent.ts';

interface PoolOptions extends SpendOptions, DeploymentOptions, JournalOptions {
  readonly count: string;
  readonly out: string;
  readonly prefix: string;
  readonly first: string;
  readonly amount?: string;
  readonly acceptTerms?: string;
}

const MAX_COUNT = 1_000n;

/** `k3s-daas token pool make`: stakes, tokens and node keys for a fleet. */
export function addPoolCommand(command: Command, io: Io): void {
  const pool = command.command('pool').description('Stakes made beforehand for a fleet of machines.');
  withJournal(withDeployment(withSpending(pool.command('make'))))
    .description(
      'Stake and mint for a number of nodes, and write a file for each: NODE.pool.json (0600), node key included. Hand one to each machine, for `k3s-daas agent --pool-file`. Run again it makes what is missing.',
    )
    .requiredOption('--count <count>', 'how many nodes')
    .requiredOption('--out <directory>', 'where the files go; a manifest without secrets too')
    .option('--prefix <name>', 'the nodes are called NAME-1, NAME-2 …', 'worker')
    .option('--first <number>', 'the number of the first node', '1')
    .option('--amount <amount>', 'how much to stake for each (default: the minimum of the cluster)')
    .option(
      '--accept-terms <fingerprint>',
      'with --yes: the fingerprint of the terms you agree to (`cluster show` prints it); other terms are refused',
    )
    .action((options: PoolOptions) => makePool(io, options));
}

async function makePool(io: Io, options: PoolOptions): Promise<void> {
  const nodeIds = nodeIdsOf(options);
  const actor = await openClusterActor(io, options);
  const snapshot = await actor.client.clusterState();
  const { minimumStakeMist } = parametersAt(snapshot.state, snapshot.nowMs);
  const stakeMist = options.amount === undefined ? minimumStakeMist : parseSui(options.amount, '--amount');
  await using life = new Lifetime();
  const { chain } = await openStakeChain(actor, options, life);
  const missing = await withoutStake(chain, nodeIds);
  const facts = await announce(actor, { snapshot, nodeIds, missing, stakeMist });
  if (options.dryRun) {
    io.result(
      { dryRun: true, nodeIds, missing, stakeMist, wallet: chain.wallet },
      `${facts}\nNothing was sent or written: this was a dry run.`,
    );
    return;
  }
  for (const line of facts.split('\n')) io.note(line);
  await judgeConsent(io, options, actor.client);
  await confirm(io, 'Stake for these nodes under these terms?', options);
  makeTrustedDirectory(options.out, { what: 'the directory of the pool' });
  const made: MadeNode[] = [];
  const { termsVersion } = snapshot.state;
  for (const nodeId of nodeIds)
    made.push(await makeNode(io, chain, { nodeId, stakeMist, termsVersion, directory: options.out }));
  const manifest = join(options.out, 'manifest.json');
  await replaceFile(
    manifest,
    `${JSON.stringify({ clusterId: chain.clusterId, nodes: made }, undefined, 2)}\n`,
  );
  io.result(
    { manifest, nodes: made },
    table([
      ['node', 'Seal token', 'file'],
      ...made.map(({ nodeId, tokenId, file }) => [nodeId, tokenId, file]),
    ]),
  );
}

function nodeIdsOf({ count, prefix, first }: PoolOptions): string[] {
  const [number, from] = [parseCount(count, '--count'), parseCount(first, '--first')];
  if (number < 1n || number > MAX_COUNT)
    throw new ConfigurationError(
      'DAAS_NUMBER_INVALID',
      `--count: ${number} is out of bounds: make 1 to ${MAX_COUNT} nodes at once`,
      { details: { origin: '--count', value: count } },
    );
  const ids = Array.from({ length: Number(number) }, (_, index) => `${prefix}-${from + BigInt(index)}`);
  const wrong = ids.find((id) => !isNodeId(id));
  if (wrong === undefined) return ids;
  throw new ConfigurationError(
    'DAAS_NODE_ID_INVALID',
    `--prefix: '${wrong}' is no node id: use a-z, 0-9 and hyphen, at most 63 characters with the number`,
    { details: { origin: '--prefix', value: prefix } },
  );
}

async function withoutStake(chain: WalletStakeChain, nodeIds: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const nodeId of nodeIds) if ((await chain.liveRecordOf(nodeId)) === undefined) missing.push(nodeId);
  return missing;
}

interface Pool {
  readonly snapshot: ClusterSnapshot;
  readonly nodeIds: readonly string[];
  readonly missing: readonly string[];
  readonly stakeMist: bigint;
}

async function announce(
  actor: ClusterActor,
  { snapshot, nodeIds, missing, stakeMist }: Pool,
): Promise<string> {
  const [first = ''] = missing;
  const totalMist = stakeMist * BigInt(missing.length);
  const rows: Array<readonly [string, string]> = [
    ['nodes', `${nodeIds[0]} to ${nodeIds.at(-1)}; ${nodeIds.length - missing.length} have a stake already`],
    ['stakes', `${missing.length} times ${formatSui(stakeMist)}, ${formatSui(totalMist)} in all`],
    ...termsRows(snapshot),
    ['wallet', actor.wallet.address],
    ['files', 'hold the node keys: a copy of a file is as good as the node. Keep them as you keep keys'],
  ];
  if (missing.length > 0) {
    judgeAmount(stakeMist, { nodeId: first, parameters: (await actor.client.cluster()).parameters });
    await judgeBalance(actor, totalMist);
    const { termsVersion } = snapshot.state;
    const request = { nodeId: first, stakeMist, termsVersion, holderKey: new Uint8Array(32) };
    rows.push(
      ...costLines(await previewStake(actor, request)).map(([, cost]) => ['gas of each', cost] as const),
    );
  }
  return table(rows);
}

async function judgeBalance({ client, wallet }: ClusterActor, totalMist: bigint): Promise<void> {
  const { coinsMist } = await client.balance(wallet.address);
  if (coinsMist > totalMist) return;
  throw new ConfigurationError(
    'DAAS_BALANCE_TOO_LOW',
    `the wallet ${wallet.address} has ${formatSui(coinsMist)} in coins, the stakes take ${formatSui(totalMist)} and the gas more: send it the rest, or make fewer`,
    { details: { wallet: wallet.address, availableMist: coinsMist, neededMist: totalMist } },
  );
}

interface MadeNode {
  readonly nodeId: string;
  readonly recordId: string;
  readonly tokenId: string;
  readonly holderKey: string;
  readonly file: string;
}

/** The key is on disk before anything is staked for it: killed in between, the next run finds it and goes on. */
async function makeNode(
  io: Io,
  chain: WalletStakeChain,
  request: {
    readonly nodeId: string;
    readonly stakeMist: bigint;
    readonly termsVersion: bigint;
    readonly directory: string;
  },
): Promise<MadeNode> {
  const { directory, ...terms } = request;
  const { nodeId } = terms;
  const file = join(directory, `${nodeId}.pool.json`);
  const kept = await readPoolFile(file);
  if (!kept) await assertUnused(file);
  const pool: PoolFile = kept ?? {
    nodeId,
    clusterId: chain.clusterId,
    staker: chain.wallet,
    ...makePoolKey(),
  };
  if (!kept) await writePoolFile(file, pool);
  const holderKey = Uint8Array.from(Buffer.from(pool.holderKey, 'hex'));
  const { objectId: recordId, tokenId: minted } = await chain.join({ ...terms, holderKey });
  const tokenId = minted ?? (await chain.createWorkerSealToken({ recordId, holderKey })).objectId;
  await writePoolFile(file, { ...pool, recordId, tokenId });
  io.step(`node ${nodeId}`, tokenId);
  return { nodeId, recordId, tokenId, holderKey: pool.holderKey, file };
}

/** A node whose file was used has its key on a machine: another key would be refused there and here. */
async function assertUnused(file: string): Promise<void> {
  const nodeId = await nodeOfPoolFile(file).catch(() => undefined);
  if (nodeId === undefined) return;
  throw new ConfigurationError(
    'DAAS_POOL_FILE_USED',
    `the file of node '${nodeId}' (${file}) was used by a machine already: begin behind it with --first, or choose another --out`,
    { details: { file, nodeId } },
  );
}
