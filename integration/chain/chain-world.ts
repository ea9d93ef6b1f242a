import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDevnet } from '@k3s-daas/devnet';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { type Journal, Lifetime, silentLog } from '#base';
import {
  type Actor,
  type ChainClient,
  type ClusterActor,
  type ClusterSettings,
  type ContractBuild,
  createStakeChain,
  type Deployment,
  readContractBuild,
  type Wallet,
  type WalletStakeChain,
} from '#chain';
import { openJournal } from '#infrastructure';
import { deployCluster, testWallet } from './deploy.ts';

export const SUI = 1_000_000_000n;

export interface ChainWorld extends AsyncDisposable {
  readonly url: string;
  readonly devnet: Awaited<ReturnType<typeof startDevnet>>;
  readonly build: ContractBuild;
  readonly deployment: Deployment;
  readonly operator: Wallet & { readonly keyFile: string };
  readonly client: ChainClient;
  /** Of the operator. */
  readonly actor: ClusterActor;
  /** The operator without a cluster. */
  readonly publisher: Actor;
  readonly directory: string;
  /** A new account with that much SUI in one coin. */
  wallet(sui?: bigint): Promise<Wallet & { readonly keyFile: string; readonly secretKey: string }>;
  stakeChain(
    wallet: Wallet,
    options?: Partial<Parameters<typeof createStakeChain>[0]>,
  ): Promise<WalletStakeChain>;
  journal(wallet: Wallet): Promise<Journal>;
  balance(address: string): Promise<bigint>;
}

/** A dev chain with the package published and one cluster, whose admin, slasher and treasury is the operator. */
export async function startChainWorld(
  settings: Partial<ClusterSettings> = {},
  { host }: { readonly host?: string | undefined } = {},
): Promise<ChainWorld> {
  const life = new Lifetime();
  try {
    return await start(life, settings, host);
  } catch (error) {
    await life.close();
    throw error;
  }
}

async function start(
  life: Lifetime,
  settings: Partial<ClusterSettings>,
  host: string | undefined,
): Promise<ChainWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'chain-'));
  life.defer('directory', () => rm(directory, { recursive: true, force: true }));
  const build = await readContractBuild();
  const devnet = await startDevnet({
    modules: build.modules,
    ...(host === undefined ? {} : { listen: { host } }),
  });
  life.defer('devnet', () => devnet.close());

  async function wallet(sui = 100n) {
    const keypair = new Ed25519Keypair();
    const secretKey = keypair.getSecretKey();
    const keyFile = join(directory, `${keypair.toSuiAddress().slice(2, 10)}.key`);
    await writeFile(keyFile, `${secretKey}\n`, { mode: 0o600 });
    if (sui > 0n) await devnet.faucet(keypair.toSuiAddress(), sui * SUI);
    return { ...testWallet(secretKey, keyFile), keyFile, secretKey };
  }

  const operator = await wallet(100n);
  // On its own network it is as near as loopback, but cannot be seen to be.
  const allowInsecure = host !== undefined;
  const deploying = deployCluster({ url: devnet.url, operator, build, settings, allowInsecure });
  const { deployment, client, publisher } = await deploying;
  const journal = (of: Wallet) => openJournal(join(directory, `journal-${of.address}.json`));
  return {
    url: devnet.url,
    devnet,
    build,
    deployment,
    operator,
    client,
    actor: { client, wallet: operator },
    publisher,
    directory,
    wallet,
    journal,
    stakeChain: async (of, options = {}) =>
      createStakeChain({ client, wallet: of, journal: await journal(of), log: silentLog, ...options }),
    balance: async (address) => (await client.balance(address)).coinsMist,
    [Symbol.asyncDispose]: () => life.close(),
  };
}
