import { type GrpcTypes, RpcError } from '@mysten/sui/grpc';
import type { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { afterAll, beforeAll } from 'vitest';
import {
  type ChainUnderTest,
  createCluster,
  execute,
  idOfType,
  newParameters,
  openChainUnderTest,
} from './chain.fixture.ts';

export const SUI = 1_000_000_000n;
export const NOBODY = normalizeSuiAddress('0xdeadbeef');
export const PRICE = 1_000n;
const BUDGET = 20_000_000n;

export let chain: ChainUnderTest;
export let client: ChainUnderTest['client'];
export let packageId: string;
export let owner: Ed25519Keypair;
export let cluster: string;

beforeAll(async () => {
  chain = await openChainUnderTest();
  client = chain.client;
  packageId = await chain.packageId();
  owner = await chain.account(SUI);
  cluster = await createCluster(client, owner, packageId);
}, 120_000);
afterAll(async () => {
  await chain?.[Symbol.asyncDispose]();
});

export const coinsOf = async (address: string) => (await client.listCoins({ owner: address })).objects;

/** A transaction whose gas is given in full, so that nothing is simulated before it is sent. */
export async function explicit(signer: Ed25519Keypair, build: (transaction: Transaction) => void) {
  const transaction = new Transaction();
  transaction.setSender(signer.toSuiAddress());
  transaction.setGasPrice(await referencePrice());
  transaction.setGasBudget(BUDGET);
  transaction.setGasPayment(await coinsOf(signer.toSuiAddress()));
  build(transaction);
  return transaction;
}

export const referencePrice = async () =>
  BigInt((await client.core.getReferenceGasPrice()).referenceGasPrice);

export const pay = (transaction: Transaction, to: string, mist = 1_000n) => {
  transaction.transferObjects([transaction.splitCoins(transaction.gas, [mist])], to);
};

export async function send(signer: Ed25519Keypair, bytes: Uint8Array) {
  const { signature } = await signer.signTransaction(bytes);
  return client.executeTransaction({
    transaction: bytes,
    signatures: [signature],
    include: { effects: true, events: true },
  });
}

export async function refusal(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RpcError)) throw new Error(`expected a refusal, got ${String(error)}`);
  return error;
}

/** The shared reference of the tests' cluster: with it nothing is left to resolve. */
export async function clusterRef(transaction: Transaction, mutable = true) {
  const { object } = await client.getObject({ objectId: cluster });
  return transaction.sharedObjectRef({
    objectId: cluster,
    initialSharedVersion: object.owner.Shared?.initialSharedVersion ?? '',
    mutable,
  });
}

// --- words of this suite ------------------------------------------------------------------------------------------------

/** The fields of a message that are set, by name. */
export function set(message: object | undefined): string[] {
  return Object.entries(message ?? {})
    .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
    .map(([name]) => name)
    .sort();
}

export function simplePayment(mist = 1_000n): Transaction {
  const transaction = new Transaction();
  pay(transaction, NOBODY, mist);
  return transaction;
}

export function newParametersOnly(transaction: Transaction, address: string): void {
  newParameters(transaction, packageId, address);
}

export function staking(signer: Ed25519Keypair, nodeId: string): Transaction {
  const transaction = new Transaction();
  transaction.setSender(signer.toSuiAddress());
  const record = transaction.moveCall({
    target: `${packageId}::staking::stake_for_node`,
    arguments: [
      transaction.object(cluster),
      transaction.splitCoins(transaction.gas, [1_000_000n]),
      transaction.pure.string(nodeId),
      transaction.pure.u64(1n),
      transaction.object.clock(),
    ],
  });
  transaction.moveCall({ target: `${packageId}::staking::share`, arguments: [record] });
  return transaction;
}

export async function mint(signer: Ed25519Keypair, record: string): Promise<string> {
  const transaction = new Transaction();
  transaction.moveCall({
    target: `${packageId}::k8s_gateway::create_worker_seal_token`,
    arguments: [
      transaction.object(cluster),
      transaction.object(record),
      transaction.pure.vector('u8', new Uint8Array(32).fill(7)),
      transaction.object.clock(),
    ],
  });
  return idOfType((await execute(client, signer, transaction)).objectTypes, '::k8s_gateway::SealToken');
}

export async function tableId(): Promise<string> {
  const { object } = await client.getObject({ objectId: cluster, include: { json: true } });
  const { nodes } = object.json as { nodes: { id: string } };
  return nodes.id;
}

export const eventFilter = (eventType: string): GrpcTypes.EventFilter => ({
  terms: [
    {
      literals: [{ negated: false, predicate: { oneofKind: 'eventType', eventType: { eventType } } }],
    },
  ],
});
