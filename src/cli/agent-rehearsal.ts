import { join } from 'node:path';
import { inspectAgent } from '#agent';
import { displayText, EXIT, type Log, systemClock } from '#base';
import { type ChainClient, createChainClient, createStakeChain, type GasBudgets, type Wallet } from '#chain';
import { bind, type PluginEntry, previewStart, refuseWrite, type StartPreview } from '#host';
import { readJournal } from '#infrastructure';
import { GatewayConnector, NodeIdentity, StakeChain } from '#plugin';
import { builtIns } from '#plugins';
import { readNodePublicKey, successorPath } from '#seal';
import { chainAccessOf } from './chain-access.ts';
import { deploymentOf, refuseAnyTerms, stakerOf } from './chain-settings.ts';
import { missingDevnet } from './devnet-package.ts';
import type { Io } from './io.ts';
import { pluginEntries } from './plugin-settings.ts';
import { readPoolFile } from './pool-file.ts';
import { type Loaded, nodeIdOf } from './settings.ts';

/** `--dry-run`: what is there and what would be done; only reads. Returns the exit code that the start would end with. */
export async function rehearse(
  io: Io,
  settings: Loaded,
  { stakeAgain = false, poolFile }: { readonly stakeAgain?: boolean; readonly poolFile?: string },
  { args, log }: { readonly args: readonly string[]; readonly log: Log },
): Promise<number> {
  const { value } = settings;
  const nodeId = nodeIdOf(settings);
  const missing = await missingDevnet(settings);
  if (missing) throw missing;
  const plugins = pluginEntries(settings, { stakeAgain });
  const {
    plan: { dataDir },
    binary,
    version,
  } = await inspectAgent({ ...value.agent, args: [...args] }, process.env, nodeId);
  const deployment = await deploymentOf(settings);
  const chain = createChainClient({
    ...(await chainAccessOf(settings)),
    deployment,
    clock: systemClock,
  });
  const wallet = await stakerOf(settings, { chain, nodeId });
  const cluster = await chain.cluster();
  refuseAnyTerms(settings, deployment);
  const { plan, stop } = await previewStake({
    chain,
    wallet,
    nodeId,
    plugins,
    pluginDirectory: settings.directory,
    stateDir: value.stateDir,
    poolFile,
    gasBudgets: value.chain.gasBudgets,
    stakeAgain,
    log,
  });
  const gateways = cluster.gateways.filter(({ isLive }) => isLive).map(({ url }) => url);
  io.result(
    {
      dryRun: true,
      nodeId,
      wallet: wallet.address,
      clusterId: cluster.id,
      plan,
      stop: stop?.code ?? null,
      gateways,
      binary,
      version,
      dataDir,
    },
    [
      `node      ${nodeId}`,
      `wallet    ${wallet.address}`,
      `cluster   ${cluster.id}`,
      `stake     ${plan}`,
      `gateways  ${gateways.map(displayText).join(', ') || 'none is live: the start would wait for one until join.deadlineMs'}`,
      `k3s       ${binary} (${version}), data in ${dataDir}`,
      'Nothing was sent, nothing was started.',
    ].join('\n'),
  );
  return stop?.exitCode ?? EXIT.ok;
}

export interface StakeQuestion {
  readonly chain: ChainClient;
  readonly wallet: Wallet;
  readonly nodeId: string;
  readonly stateDir: string;
  /** The file that a start would take the node key from. */
  readonly poolFile?: string | undefined;
  readonly plugins: readonly PluginEntry[];
  readonly pluginDirectory: string;
  readonly gasBudgets: GasBudgets;
  readonly stakeAgain: boolean;
  readonly log: Log;
}

/** Asks the plugins of the configuration what a start would do about the stake. */
export async function previewStake(question: StakeQuestion): Promise<StartPreview> {
  const { chain, wallet, nodeId, stateDir, gasBudgets, log } = question;
  const journal = await readJournal(join(stateDir, 'journal.json'));
  const stakeChain: StakeChain = {
    ...createStakeChain({
      client: chain,
      wallet,
      journal: journal.section('chain'),
      log: log.child({ part: 'chain' }),
      gasBudgets,
    }),
    join: async () => refuseWrite('a stake'),
    stakeForNode: async () => refuseWrite('a stake'),
    createWorkerSealToken: async () => refuseWrite('a Seal token'),
    rotateSealToken: async () => refuseWrite('a rotation'),
    topUp: async () => refuseWrite('a top-up'),
    revokeSealToken: async () => refuseWrite('a revocation'),
    requestUnstake: async () => refuseWrite('an unstake'),
    withdraw: async () => refuseWrite('a withdrawal'),
    settlePending: async () => refuseWrite('sending a pending transaction'),
  };
  return previewStart({
    nodeId,
    stateDir,
    plugins: question.plugins,
    builtIns,
    pluginDirectory: question.pluginDirectory,
    mayStakeAgain: question.stakeAgain,
    chain,
    bindings: [
      bind(StakeChain, stakeChain),
      bind(NodeIdentity, await readIdentity(nodeId, stateDir, question.poolFile)),
      bind(GatewayConnector, { connect: () => refuseWrite('a connection to a gateway') }),
    ],
    journal,
    clock: systemClock,
    log,
  });
}

/** A start makes a node key if there is none; until then any key serves to judge and to simulate with. */
async function readIdentity(
  nodeId: string,
  stateDir: string,
  poolFile: string | undefined,
): Promise<NodeIdentity> {
  const keyFile = join(stateDir, 'node.key');
  const [key, successor] = await Promise.all([
    readNodePublicKey(keyFile),
    readNodePublicKey(successorPath(keyFile)),
  ]);
  const pool = key || poolFile === undefined ? undefined : await readPoolFile(poolFile);
  const pooledKey = pool && Uint8Array.from(Buffer.from(pool.holderKey, 'hex'));
  const known = [key, successor, pooledKey].filter((each) => each !== undefined);
  return {
    nodeId,
    holderKey: key ?? pooledKey ?? new Uint8Array(32),
    rotation: {
      prepare: async () => successor ?? new Uint8Array(32),
      adopt: async (_sealTokenId, holderKey) =>
        known.some((publicKey) => Buffer.from(publicKey).equals(holderKey)),
      complete: async () => refuseWrite('a node key'),
    },
    nodePasswordHash: async () => refuseWrite('a node password'),
  };
}
