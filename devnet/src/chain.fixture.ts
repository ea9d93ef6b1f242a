import type { SuiClientTypes } from '@mysten/sui/client';
import { decodeSuiPrivateKey, type Signer } from '@mysten/sui/cryptography';
import { SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Secp256k1Keypair } from '@mysten/sui/keypairs/secp256k1';
import { Secp256r1Keypair } from '@mysten/sui/keypairs/secp256r1';
import { Transaction } from '@mysten/sui/transactions';
import { fromBase58 } from '@mysten/sui/utils';
import { inject } from 'vitest';
import { type Devnet, type DevnetOptions, startDevnet } from './devnet.ts';

/** The chain that a suite describes: the dev chain, or in the project `sui` the full node that the environment names. */
export interface ChainUnderTest extends AsyncDisposable {
  readonly url: string;
  readonly client: SuiGrpcClient;
  /** Undefined on a full node: its time cannot be changed. */
  readonly devnet: Devnet | undefined;
  /** A new account that holds one coin for each amount. */
  account(...mist: bigint[]): Promise<Ed25519Keypair>;
}

const ENDPOINT_VARIABLE = 'K3S_DAAS_TEST_SUI_RPC_ENDPOINT';
const KEY_VARIABLE = 'K3S_DAAS_TEST_SUI_KEY';

declare module 'vitest' {
  interface ProvidedContext {
    /** Given by each project in vitest.config.ts. */
    chain: 'dev chain' | 'full node';
  }
}
export const isFullNode = inject('chain') === 'full node';

/**
 * Mainnet's chain id is the base58 digest of its genesis checkpoint; tools show the first four bytes of it in hex.
 * (Testnet's are 4c78adac.) The suite spends SUI, so mainnet is refused whatever else is configured.
 */
const MAINNET_SHORT_ID = '35834a8a';

export const isMainnet = (chainId: string): boolean =>
  Buffer.from(fromBase58(chainId)).toString('hex').startsWith(MAINNET_SHORT_ID);

/** The full node in the project `sui`, else a new dev chain. */
export async function openChainUnderTest(options: DevnetOptions = {}): Promise<ChainUnderTest> {
  return isFullNode ? openFullNode() : openDevnet(options);
}

async function openDevnet(options: DevnetOptions): Promise<ChainUnderTest> {
  const devnet = await startDevnet({ checkpointIntervalMs: 0, ...options });
  const client = clientFor(devnet.url);
  const account = async (...amounts: bigint[]) => {
    const keypair = Ed25519Keypair.generate();
    for (const mist of amounts) await devnet.faucet(keypair.toSuiAddress(), mist);
    return keypair;
  };
  return {
    url: devnet.url,
    client,
    devnet,
    account,
    [Symbol.asyncDispose]: () => devnet.close(),
  };
}

async function openFullNode(): Promise<ChainUnderTest> {
  const url = process.env[ENDPOINT_VARIABLE];
  if (!url) throw new Error(`${ENDPOINT_VARIABLE} is not set: it names the full node (docs/testing.md)`);
  const client = clientFor(url);
  const { chainIdentifier } = await client.core.getChainIdentifier();
  if (isMainnet(chainIdentifier))
    throw new Error(
      `${ENDPOINT_VARIABLE}=${url} is mainnet (chain id ${chainIdentifier}): this suite spends SUI, name a test network`,
    );
  const key = process.env[KEY_VARIABLE];
  if (!key)
    throw new Error(
      `${ENDPOINT_VARIABLE} needs ${KEY_VARIABLE}: the suiprivkey1… of an account with a few SUI there`,
    );
  const funder = keypairOf(key);
  const account = async (...amounts: bigint[]) => {
    const keypair = Ed25519Keypair.generate();
    if (amounts.length > 0) await fund(client, funder, keypair.toSuiAddress(), amounts);
    return keypair;
  };
  return {
    url,
    client,
    devnet: undefined,
    account,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const clientFor = (url: string): SuiGrpcClient =>
  new SuiGrpcClient({ network: 'under-test', baseUrl: url, format: 'binary' });

function keypairOf(bech32: string): Signer {
  const { scheme, secretKey } = decodeSuiPrivateKey(bech32);
  switch (scheme) {
    case 'ED25519':
      return Ed25519Keypair.fromSecretKey(secretKey);
    case 'Secp256k1':
      return Secp256k1Keypair.fromSecretKey(secretKey);
    case 'Secp256r1':
      return Secp256r1Keypair.fromSecretKey(secretKey);
    default:
      throw new Error(`${KEY_VARIABLE} is a ${scheme} key, which cannot sign`);
  }
}

async function fund(client: SuiGrpcClient, signer: Signer, to: string, amounts: bigint[]): Promise<void> {
  const transaction = new Transaction();
  for (const coin of transaction.splitCoins(transaction.gas, amounts))
    transaction.transferObjects([coin], to);
  await execute(client, signer, transaction);
}

/** The dependencies of every package here: Move's standard library and Sui's framework. */
const FRAMEWORK = ['0x1', '0x2'];

/** Publishes modules as an immutable package, and returns its id. */
export async function publishModules(
  client: SuiGrpcClient,
  signer: Signer,
  modules: Readonly<Record<string, string>>,
): Promise<string> {
  const transaction = new Transaction();
  const cap = transaction.publish({ modules: Object.values(modules), dependencies: FRAMEWORK });
  transaction.moveCall({ target: '0x2::package::make_immutable', arguments: [cap] });
  const { effects } = await execute(client, signer, transaction);
  const pack = effects.changedObjects.find(({ outputState }) => outputState === 'PackageWrite');
  if (!pack) throw new Error('publishing wrote no package');
  return pack.objectId;
}

type Included = { effects: true; events: true; objectTypes: true; balanceChanges: true };

/** Signs, executes and waits until the node can be asked about it; throws unless it succeeded. */
export async function execute(
  client: SuiGrpcClient,
  signer: Signer,
  transaction: Transaction,
): Promise<SuiClientTypes.Transaction<Included>> {
  const result = await client.signAndExecuteTransaction({
    transaction,
    signer,
    include: { effects: true, events: true, objectTypes: true, balanceChanges: true },
  });
  if (result.$kind === 'FailedTransaction')
    throw new Error(result.FailedTransaction.status.error?.message ?? 'the transaction failed');
  await client.waitForTransaction({ digest: result.Transaction.digest });
  return result.Transaction;
}

export function idOfType(types: Readonly<Record<string, string>>, suffix: string): string {
  const found = Object.entries(types).find(([, type]) => type.endsWith(suffix));
  if (!found) throw new Error(`no ${suffix} among ${Object.values(types).join(', ')}`);
  return found[0];
}
