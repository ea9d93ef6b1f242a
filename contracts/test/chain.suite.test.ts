import { bcs } from '@mysten/sui/bcs';
import { requestSuiFromFaucetV2 } from '@mysten/sui/faucet';
import { type GrpcTypes, RpcError } from '@mysten/sui/grpc';
import type { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Secp256k1Keypair } from '@mysten/sui/keypairs/secp256k1';
import { Secp256r1Keypair } from '@mysten/sui/keypairs/secp256r1';
import { MultiSigPublicKey } from '@mysten/sui/multisig';
import { coinWithBalance, SerialTransactionExecutor, Transaction } from '@mysten/sui/transactions';
import { deriveDynamicFieldID, fromBase64, normalizeSuiAddress } from '@mysten/sui/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ChainUnderTest,
  createCluster,
  execute,
  idOfType,
  isMainnet,
  newParameters,
  openChainUnderTest,
  REAL_ENDPOINT,
  stakeForNode,
} from './chain-under-test.ts';

/**
 * What a Sui chain does, as measured on a real executor. Runs against the development chain, or against a real node:
 * K3S_DAAS_TEST_SUI_RPC_ENDPOINT=https://… K3S_DAAS_TEST_SUI_KEY=suiprivkey1… (never mainnet), with
 * --no-file-parallelism, since all files spend from that one account.
 */

const isReal = REAL_ENDPOINT !== undefined;
const SUI = 1_000_000_000n;
const NOBODY = normalizeSuiAddress('0xdeadbeef');
const PRICE = 1_000n;
const BUDGET = 20_000_000n;

let chain: ChainUnderTest;
let client: ChainUnderTest['client'];
let packageId: string;
let owner: Ed25519Keypair;
let cluster: string;

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

const coinsOf = async (address: string) => (await client.listCoins({ owner: address })).objects;

/** A transaction whose gas is given in full, so that nothing is simulated before it is sent. */
async function explicit(signer: Ed25519Keypair, build: (transaction: Transaction) => void) {
  const transaction = new Transaction();
  transaction.setSender(signer.toSuiAddress());
  transaction.setGasPrice(await referencePrice());
  transaction.setGasBudget(BUDGET);
  transaction.setGasPayment(await coinsOf(signer.toSuiAddress()));
  build(transaction);
  return transaction;
}

const referencePrice = async () => BigInt((await client.core.getReferenceGasPrice()).referenceGasPrice);

const pay = (transaction: Transaction, to: string, mist = 1_000n) => {
  transaction.transferObjects([transaction.splitCoins(transaction.gas, [mist])], to);
};

async function send(signer: Ed25519Keypair, bytes: Uint8Array) {
  const { signature } = await signer.signTransaction(bytes);
  return client.executeTransaction({
    transaction: bytes,
    signatures: [signature],
    include: { effects: true, events: true },
  });
}

async function refusal(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RpcError)) throw new Error(`expected a refusal, got ${String(error)}`);
  return error;
}

/** The shared reference of the tests' cluster: with it nothing is left to resolve. */
async function clusterRef(transaction: Transaction, mutable = true) {
  const { object } = await client.getObject({ objectId: cluster });
  return transaction.sharedObjectRef({
    objectId: cluster,
    initialSharedVersion: object.owner.Shared?.initialSharedVersion ?? '',
    mutable,
  });
}

describe('identity', () => {
  test('the chain id is a base58 digest of 32 bytes and not mainnet’s', async () => {
    const { chainIdentifier } = await client.core.getChainIdentifier();
    expect(chainIdentifier).toMatch(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/);
    expect(isMainnet(chainIdentifier)).toBe(false);
    expect(isMainnet('4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S')).toBe(true);
  });

  test('every answer carries the chain’s id, epoch, height and time', async () => {
    const { headers } = await client.ledgerService.getServiceInfo({});
    const { chainIdentifier } = await client.core.getChainIdentifier();
    const sent = headers;
    expect(sent['x-sui-chain-id']).toBe(chainIdentifier);
    for (const name of ['chain', 'epoch', 'checkpoint-height', 'timestamp', 'timestamp-ms'])
      expect(sent[`x-sui-${name}`]).toBeDefined();
    for (const name of ['lowest-available-checkpoint', 'lowest-available-checkpoint-objects'])
      expect(sent[`x-sui-${name}`]).toMatch(/^\d+$/);
  });
});

describe('read masks', () => {
  test('without one an object has id, version and digest', async () => {
    const { object } = await client.ledgerService.getObject({ objectId: '0x6' }).response;
    expect(set(object)).toEqual(['digest', 'objectId', 'version']);
  });

  test('without one an owned object has id, version and type', async () => {
    const { objects } = await client.stateService.listOwnedObjects({ owner: owner.toSuiAddress() }).response;
    expect(set(objects[0])).toEqual(['objectId', 'objectType', 'version']);
  });

  test('without one a transaction has its digest only', async () => {
    const signer = await chain.account(SUI);
    const { digest } = await execute(client, signer, simplePayment());
    const { transaction } = await client.ledgerService.getTransaction({ digest }).response;
    expect(set(transaction)).toEqual(['digest']);
  });

  test('without one an execution answers with effects and not even the digest', async () => {
    const signer = await chain.account(SUI);
    const bytes = await (await explicit(signer, (transaction) => pay(transaction, NOBODY))).build();
    const { signature } = await signer.signTransaction(bytes);
    const { transaction } = await client.transactionExecutionService.executeTransaction({
      transaction: { bcs: { value: bytes } },
      signatures: [{ bcs: { value: fromBase64(signature) }, signature: { oneofKind: undefined } }],
    }).response;
    expect(set(transaction)).toEqual(['effects']);
  });

  test('without one a checkpoint has its number and digest, a dynamic field its parent and id', async () => {
    const { checkpoint } = await client.ledgerService.getCheckpoint({
      checkpointId: { oneofKind: undefined },
    }).response;
    expect(set(checkpoint)).toEqual(['digest', 'sequenceNumber']);
    await stakeForNode(client, owner, packageId, cluster, 'mask-node');
    const table = await tableId();
    const { dynamicFields } = await client.stateService.listDynamicFields({ parent: table }).response;
    expect(set(dynamicFields[0])).toEqual(['fieldId', 'parent']);
  });

  test('without one an event has its type only', async () => {
    const call = client.ledgerService.listEvents({
      filter: eventFilter(`${packageId}::cluster::ClusterCreated`),
    });
    const events: GrpcTypes.Event[] = [];
    for await (const { event } of call.responses) if (event) events.push(event);
    expect(set(events[0])).toEqual(['eventType']);
  });

  test('a star asks for everything', async () => {
    const { object } = await client.ledgerService.getObject({
      objectId: '0x6',
      readMask: { paths: ['*'] },
    }).response;
    expect(set(object)).toEqual(expect.arrayContaining(['bcs', 'contents', 'json', 'owner', 'objectType']));
  });

  test('a path that does not exist is an invalid argument that says so', async () => {
    const error = await refusal(
      client.ledgerService.getObject({ objectId: '0x6', readMask: { paths: ['owner.nothing'] } }).response,
    );
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toBe('invalid read_mask path: owner.nothing');
  });
});

describe('errors on the wire', () => {
  test('an error has no body, and its details are a google.rpc.Status in base64 without padding', async () => {
    const response = await fetch(`${chain.url}/sui.rpc.v2.LedgerService/GetObject`, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' },
      body: Buffer.alloc(5),
    });
    expect(response.status).toBe(200);
    expect((await response.arrayBuffer()).byteLength).toBe(0);
    expect(response.headers.get('grpc-status')).toBe('3');
    const details = response.headers.get('grpc-status-details-bin') ?? '';
    expect(details).not.toContain('=');
    const status = Buffer.from(details, 'base64').toString('latin1');
    expect(status).toContain('google.rpc.BadRequest');
    expect(status).toMatch(/FIELD_(MISSING|INVALID)/);
  });

  test('a missing object is not found, in a batch by item', async () => {
    const error = await refusal(client.ledgerService.getObject({ objectId: NOBODY }).response);
    expect([error.code, error.message]).toEqual(['NOT_FOUND', `Object ${NOBODY} not found`]);
    const { objects } = await client.getObjects({ objectIds: ['0x6', NOBODY] });
    expect(objects[0]).not.toBeInstanceOf(Error);
    expect(objects[1]).toMatchObject({ code: 'notExists', reason: 'notFound', objectId: NOBODY });
  });

  test('a missing transaction is not found', async () => {
    await expect(client.getTransaction({ digest: '11111111111111111111111111111111' })).rejects.toMatchObject(
      { reason: 'notFound' },
    );
  });

  test('a missing function is an internal error that names it', async () => {
    const error = await refusal(
      client.movePackageService.getFunction({ packageId, moduleName: 'cluster', name: 'nothing' }).response,
    );
    expect(error.code).toBe('INTERNAL');
    expect(error.message).toMatch(/^Function not found: .*nothing/);
  });

  test.skipIf(isReal)('what this chain has not is unimplemented', async () => {
    const error = await refusal(client.nameService.lookupName({ name: 'example.sui' }).response);
    expect(error.code).toBe('UNIMPLEMENTED');
  });
});

describe('what a node refuses to execute', () => {
  test('a signature of somebody else, a damaged one, or none', async () => {
    const signer = await chain.account(SUI);
    const other = await chain.account();
    const bytes = await (await explicit(signer, (transaction) => pay(transaction, NOBODY))).build();
    for (const signatures of [
      [(await other.signTransaction(bytes)).signature],
      [(await signer.signPersonalMessage(bytes)).signature],
      [],
    ]) {
      const error = await refusal(client.executeTransaction({ transaction: bytes, signatures }));
      expect(error.code).toBe('INVALID_ARGUMENT');
      expect(error.message).toMatch(/^Invalid user signature: /);
    }
  });

  test('a gas price below the reference, and a budget that the coin does not cover', async () => {
    const signer = await chain.account(SUI / 10n);
    const cheap = await explicit(signer, (transaction) => {
      transaction.setGasPrice(1n);
      pay(transaction, NOBODY);
    });
    const poor = await explicit(signer, (transaction) => {
      transaction.setGasBudget(SUI);
      pay(transaction, NOBODY);
    });
    const low = await refusal(send(signer, await cheap.build()));
    expect([low.code, low.message]).toEqual([
      'INVALID_ARGUMENT',
      expect.stringMatching(/Gas price 1 under reference gas price/),
    ]);
    const short = await refusal(send(signer, await poor.build()));
    expect([short.code, short.message]).toEqual([
      'INVALID_ARGUMENT',
      expect.stringMatching(/Balance of gas object 100000000 is lower than the needed amount: 1000000000/),
    ]);
  });

  test('an object with a wrong digest, of another owner, or in a version that is yet to come', async () => {
    const signer = await chain.account(SUI, SUI);
    const stranger = await chain.account(SUI);
    const [gas, spare] = await coinsOf(signer.toSuiAddress());
    const [theirs] = await coinsOf(stranger.toSuiAddress());
    if (!gas || !spare || !theirs) throw new Error('the accounts have no coins');
    const sending = async (coin: { objectId: string; version: string; digest: string }) => {
      const transaction = await explicit(signer, (open) => {
        open.setGasPayment([gas]);
        open.transferObjects([open.objectRef(coin)], NOBODY);
      });
      return refusal(send(signer, await transaction.build()));
    };
    expect(await sending({ ...spare, digest: gas.digest })).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('Invalid Object digest'),
    });
    expect(await sending(theirs)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('not signed by the correct sender'),
    });
    expect(await sending({ ...spare, version: String(BigInt(spare.version) + 1_000_000n) })).toMatchObject({
      code: 'ABORTED',
    });
  });

  test('a transaction whose epoch is over', async ({ skip }) => {
    const { systemState } = await client.core.getCurrentSystemState();
    if (systemState.epoch === '0' && !chain.devnet) skip('no epoch is over yet');
    if (systemState.epoch === '0') chain.devnet?.advanceEpoch();
    const signer = await chain.account(SUI);
    const transaction = await explicit(signer, (open) => {
      open.setExpiration({ Epoch: 0 });
      pay(open, NOBODY);
    });
    expect(await refusal(send(signer, await transaction.build()))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('Transaction Expired'),
    });
  });

  test('an object that is gone, as if it were yet to come', async () => {
    const signer = await chain.account(SUI / 10n, SUI / 10n);
    const coins = await coinsOf(signer.toSuiAddress());
    await execute(client, signer, simplePayment());
    const left = (await coinsOf(signer.toSuiAddress()))[0];
    const merged = coins.find(({ objectId }) => objectId !== left?.objectId);
    if (!left || !merged) throw new Error('no coin was merged away');
    const transaction = await explicit(signer, (open) => {
      open.transferObjects([open.objectRef(merged)], NOBODY);
    });
    expect(await refusal(send(signer, await transaction.build()))).toMatchObject({
      code: 'ABORTED',
      message: expect.stringContaining('Could not find the referenced object'),
    });
  });

  test('a stale version, saying which one is current', async () => {
    const signer = await chain.account(SUI);
    const first = await explicit(signer, (transaction) => pay(transaction, NOBODY, 1n));
    const second = await explicit(signer, (transaction) => pay(transaction, NOBODY, 2n));
    const bytes = await second.build();
    await send(signer, await first.build());
    expect(await refusal(send(signer, bytes))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(
        /Transaction needs to be rebuilt because object 0x\w+ version 0x\w+.* is unavailable for consumption, current version: 0x\w+/,
      ),
    });
  });
});

describe('sending again', () => {
  test('the same signed bytes give the original effects', async () => {
    const signer = await chain.account(SUI);
    const bytes = await (await explicit(signer, (transaction) => pay(transaction, NOBODY))).build();
    const first = await send(signer, bytes);
    const again = await send(signer, bytes);
    expect(again.Transaction?.digest).toBe(first.Transaction?.digest);
    expect(again.Transaction?.effects).toEqual(first.Transaction?.effects);
  });

  test('the reply to an execution has neither checkpoint nor time, which come by asking', async () => {
    const signer = await chain.account(SUI);
    const bytes = await (await explicit(signer, (transaction) => pay(transaction, NOBODY))).build();
    const { signature } = await signer.signTransaction(bytes);
    const bare = await client.executeTransaction({ transaction: bytes, signatures: [signature] });
    expect(bare.Transaction).toMatchObject({ checkpoint: null, timestampMs: null, epoch: null });
    const full = await send(signer, bytes);
    expect(full.Transaction).toMatchObject({ checkpoint: null, timestampMs: null });
    expect(full.Transaction?.epoch).toMatch(/^\d+$/);
    const digest = full.Transaction?.digest ?? '';
    await client.waitForTransaction({ digest });
    const asked = await client.getTransaction({ digest });
    expect(asked.Transaction?.checkpoint).toMatch(/^\d+$/);
    expect(asked.Transaction?.timestampMs).toBeGreaterThan(0);
  });
});

describe('aborts', () => {
  const badNodeId = async (transaction: Transaction) => {
    transaction.moveCall({
      target: `${packageId}::staking::stake_for_node`,
      arguments: [
        await clusterRef(transaction),
        transaction.splitCoins(transaction.gas, [1_000_000n]),
        transaction.pure.string('Not A Label'),
        transaction.sharedObjectRef({ objectId: '0x6', initialSharedVersion: 1, mutable: false }),
      ],
    });
  };

  test('a landed abort is OK on the wire: failed, charged, versions up, no events, a named error', async () => {
    const signer = await chain.account(SUI);
    const before = (await client.getObject({ objectId: cluster })).object.version;
    const transaction = await explicit(signer, () => undefined);
    await badNodeId(transaction);
    const result = await send(signer, await transaction.build());
    expect(result.$kind).toBe('FailedTransaction');
    const failed = result.FailedTransaction;
    expect(failed?.status.error).toMatchObject({
      $kind: 'MoveAbort',
      command: 1,
      MoveAbort: {
        location: { package: packageId, module: 'staking', functionName: 'stake_for_node' },
        cleverError: { constantName: 'EInvalidNodeId', value: expect.stringMatching(/node id/i) },
      },
    });
    expect(failed?.events).toEqual([]);
    expect(BigInt(failed?.effects?.gasUsed.computationCost ?? 0)).toBeGreaterThan(0n);
    const touched = failed?.effects?.changedObjects.find(({ objectId }) => objectId === cluster);
    expect(touched).toMatchObject({ inputVersion: before, outputState: 'ObjectWrite', idOperation: 'None' });
    expect(BigInt(touched?.outputVersion ?? 0)).toBeGreaterThan(BigInt(before));
    const [coin] = await coinsOf(signer.toSuiAddress());
    expect(BigInt(coin?.balance ?? 0)).toBeLessThan(SUI);
  });

  test('with anything left to resolve the client simulates first, and nothing lands', async () => {
    const signer = await chain.account(SUI);
    const transaction = new Transaction();
    await badNodeId(transaction);
    const error = await client.signAndExecuteTransaction({ transaction, signer }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      executionError: { $kind: 'MoveAbort', MoveAbort: { cleverError: { constantName: 'EInvalidNodeId' } } },
    });
    expect((await coinsOf(signer.toSuiAddress()))[0]?.balance).toBe(String(SUI));
  });

  test('running out of gas is a failure that the client knows no kind of', async () => {
    const signer = await chain.account(SUI);
    const transaction = await explicit(signer, (open) => {
      open.setGasBudget(2_500_000n);
      newParametersAndCluster(open, signer.toSuiAddress());
    });
    const result = await send(signer, await transaction.build());
    expect(result.FailedTransaction?.status.error?.$kind).toBe('Unknown');
    expect(result.FailedTransaction?.status.error?.message).toMatch(/insufficient ?gas/i);
  });

  const newParametersAndCluster = (transaction: Transaction, address: string) => {
    const parameters = newParameters(transaction, packageId, address);
    transaction.moveCall({ target: `${packageId}::cluster::create_cluster`, arguments: [parameters] });
  };

  test('a token that has only key cannot be transferred', async () => {
    const signer = await chain.account(SUI);
    const record = await stakeForNode(client, signer, packageId, cluster, 'keeps-its-token');
    const token = await mint(signer, record);
    const transaction = new Transaction();
    transaction.transferObjects([transaction.object(token)], NOBODY);
    const error = await client.signAndExecuteTransaction({ transaction, signer }).then(
      () => undefined,
      (reason: Error) => reason.message,
    );
    expect(error).toMatch(/InvalidTransferObject|Invalid Transfer Object/);
  });
});

describe('gas', () => {
  test('selection takes all coins and merges them, so that the others are deleted', async () => {
    const signer = await chain.account(SUI / 10n, SUI / 10n, SUI / 10n);
    const { effects } = await execute(client, signer, simplePayment());
    const deleted = effects.changedObjects.filter(({ idOperation }) => idOperation === 'Deleted');
    expect(deleted).toHaveLength(2);
    expect(deleted.every(({ outputState }) => outputState === 'DoesNotExist')).toBe(true);
    expect(await coinsOf(signer.toSuiAddress())).toHaveLength(1);
  });

  test('a transaction of nothing but a split of the gas coin fails its simulation by a missing value', async () => {
    const signer = await chain.account(SUI);
    const transaction = new Transaction();
    transaction.setSender(signer.toSuiAddress());
    transaction.splitCoins(transaction.gas, [1n]);
    await expect(transaction.build({ client })).rejects.toThrow(/ArgumentWithoutValue/i);
  });

  test('an account without coins is told what it lacks', async () => {
    const signer = await chain.account();
    const transaction = simplePayment();
    transaction.setSender(signer.toSuiAddress());
    await expect(transaction.build({ client })).rejects.toThrow(/insufficient SUI/i);
  });

  test('the gas coin loses what the effects say', async () => {
    const signer = await chain.account(SUI);
    const { effects, balanceChanges } = await execute(client, signer, simplePayment(7n));
    const { computationCost, storageCost, storageRebate } = effects.gasUsed;
    const left = SUI - 7n - BigInt(computationCost) - BigInt(storageCost) + BigInt(storageRebate);
    expect((await coinsOf(signer.toSuiAddress()))[0]?.balance).toBe(String(left));
    expect(balanceChanges.find(({ address }) => address === signer.toSuiAddress())?.amount).toBe(
      String(left - SUI),
    );
  });

  test('computation costs a multiple of the price', async () => {
    const signer = await chain.account(SUI);
    const transaction = await explicit(signer, (open) => pay(open, NOBODY));
    transaction.setGasPrice((await referencePrice()) * 2n);
    const { Transaction: done } = await send(signer, await transaction.build());
    expect(BigInt(done?.effects?.gasUsed.computationCost ?? 1) % (PRICE * 2n)).toBe(0n);
  });
});

describe('versions', () => {
  test('are one more than the greatest of the inputs, those that are only read included', async () => {
    const signer = await chain.account(SUI);
    const transaction = await explicit(signer, (open) => {
      open.moveCall({ target: '0x2::clock::timestamp_ms', arguments: [open.object.clock()] });
    });
    const [coin] = await coinsOf(signer.toSuiAddress());
    const { Transaction: done } = await send(signer, await transaction.build());
    const [clock] = done?.effects?.unchangedConsensusObjects ?? [];
    expect(clock).toMatchObject({ kind: 'ReadOnlyRoot', objectId: normalizeSuiAddress('0x6') });
    const inputs = [BigInt(coin?.version ?? 0), BigInt(clock?.version ?? 0)];
    const greatest = inputs.reduce((left, right) => (left > right ? left : right));
    expect(done?.effects?.lamportVersion).toBe(String(greatest + 1n));
    expect(done?.effects?.gasObject?.outputVersion).toBe(String(greatest + 1n));
  });

  test('a new package has version 1 and shows its bytecode under its own id', async () => {
    const { object } = await client.getObject({ objectId: packageId });
    expect([object.version, object.type, object.owner.$kind]).toEqual(['1', 'package', 'Immutable']);
    const { package: published } = await client.movePackageService.getPackage({ packageId }).response;
    expect(published?.modules.map(({ name }) => name)).toEqual([
      'cluster',
      'k8s_gateway',
      'slashing',
      'staking',
    ]);
    for (const { contents } of published?.modules ?? [])
      expect(Buffer.from(contents ?? []).includes(Buffer.from(packageId.slice(2), 'hex'))).toBe(true);
  });

  test('an earlier version of an object can still be read', async () => {
    const signer = await chain.account(SUI);
    const [before] = await coinsOf(signer.toSuiAddress());
    await execute(client, signer, simplePayment());
    const { object } = await client.ledgerService.getObject({
      objectId: before?.objectId ?? '',
      version: BigInt(before?.version ?? 0),
    }).response;
    expect(object?.digest).toBe(before?.digest);
  });
});

describe('objects', () => {
  test('digests, effects and ids are what their BCS says', async () => {
    const signer = await chain.account(SUI);
    const bytes = await (await explicit(signer, (transaction) => pay(transaction, NOBODY))).build();
    const { Transaction: done } = await send(signer, bytes);
    const effects = bcs.TransactionEffects.parse(done?.effects?.bcs ?? new Uint8Array());
    expect(effects.V2?.transactionDigest).toBe(done?.digest);
    expect(effects.V2?.lamportVersion).toBe(done?.effects?.lamportVersion);
    expect(effects.V2?.changedObjects.map(([id]) => id)).toEqual(
      done?.effects?.changedObjects.map(({ objectId }) => objectId),
    );
    const [coin] = await coinsOf(signer.toSuiAddress());
    const { object } = await client.getObject({
      objectId: coin?.objectId ?? '',
      include: { objectBcs: true, content: true, previousTransaction: true },
    });
    const parsed = bcs.Object.parse(object.objectBcs ?? new Uint8Array());
    expect(parsed.data.Move?.version).toBe(object.version);
    expect(Uint8Array.from(parsed.data.Move?.contents ?? [])).toEqual(Uint8Array.from(object.content ?? []));
    expect(object.previousTransaction).toBe(done?.digest);
  });

  test('JSON has u64 and Balance as text, ids as hex, options as value or null', async () => {
    const { object } = await client.getObject({ objectId: cluster, include: { json: true } });
    expect(object.json).toMatchObject({
      id: cluster,
      admin: owner.toSuiAddress(),
      offered_admin: null,
      parameters: { minimum_stake_mist: '1000000', tiers: expect.any(Array) },
    });
    const record = await stakeForNode(client, owner, packageId, cluster, 'as-json', 1_500_000n);
    const stake = await client.getObject({ objectId: record, include: { json: true } });
    expect(stake.object.json).toMatchObject({ balance: '1500000', node_id: 'as-json', token: null });
  });

  test('a table’s entry is a dynamic field at a derived id', async () => {
    const record = await stakeForNode(client, owner, packageId, cluster, 'in-the-table');
    const parentId = await tableId();
    const name = bcs.string().serialize('in-the-table').toBytes();
    const { dynamicField } = await client.getDynamicField({
      parentId,
      name: { type: '0x1::string::String', bcs: name },
    });
    expect(dynamicField.fieldId).toBe(deriveDynamicFieldID(parentId, '0x1::string::String', name));
    expect(bcs.Address.parse(dynamicField.value.bcs)).toBe(record);
    const { dynamicFields } = await client.listDynamicFields({ parentId, limit: 1000 });
    expect(dynamicFields.map(({ fieldId }) => fieldId)).toContain(dynamicField.fieldId);
  });

  test('owned objects come in pages that miss and repeat nothing', async () => {
    const signer = await chain.account(...Array.from({ length: 5 }, () => 1_000_000n));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof client.listOwnedObjects>> = await client.listOwnedObjects({
        owner: signer.toSuiAddress(),
        limit: 2,
        cursor,
      });
      seen.push(...page.objects.map(({ objectId }) => objectId));
      cursor = page.hasNextPage ? page.cursor : null;
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(5);
    expect(seen).toHaveLength(5);
  });
});

describe('signers', () => {
  test('Secp256k1, Secp256r1 and multisig accounts can pay', async () => {
    const keys = [Secp256k1Keypair.generate(), Secp256r1Keypair.generate()];
    const together = MultiSigPublicKey.fromPublicKeys({
      threshold: 2,
      publicKeys: keys.map((key) => ({ publicKey: key.getPublicKey(), weight: 1 })),
    });
    const sponsor = await chain.account(SUI);
    const transaction = new Transaction();
    const addresses = [...keys.map((key) => key.toSuiAddress()), together.toSuiAddress()];
    for (const address of addresses) pay(transaction, address, 50_000_000n);
    await execute(client, sponsor, transaction);
    for (const signer of keys) await execute(client, signer, simplePayment());
    const shared = simplePayment();
    shared.setSender(together.toSuiAddress());
    const bytes = await shared.build({ client });
    const parts = await Promise.all(keys.map(async (key) => (await key.signTransaction(bytes)).signature));
    const result = await client.executeTransaction({
      transaction: bytes,
      signatures: [together.combinePartialSignatures(parts)],
    });
    expect(result.$kind).toBe('Transaction');
  });

  test('a sponsor pays when both have signed', async () => {
    const sponsor = await chain.account(SUI);
    const user = await chain.account();
    const transaction = new Transaction();
    transaction.setSender(user.toSuiAddress());
    transaction.setGasOwner(sponsor.toSuiAddress());
    newParametersOnly(transaction, user.toSuiAddress());
    const bytes = await transaction.build({ client });
    const own = (await user.signTransaction(bytes)).signature;
    expect((await refusal(client.executeTransaction({ transaction: bytes, signatures: [own] }))).code).toBe(
      'INVALID_ARGUMENT',
    );
    const both = [own, (await sponsor.signTransaction(bytes)).signature];
    const result = await client.executeTransaction({ transaction: bytes, signatures: both });
    expect(result.$kind).toBe('Transaction');
  });
});

describe('the client’s ways to build', () => {
  test('the serial executor caches what it knows', async () => {
    const signer = await chain.account(SUI);
    const executor = new SerialTransactionExecutor({ client, signer });
    for (const mist of [1n, 2n, 3n]) {
      const { $kind } = await executor.executeTransaction(simplePayment(mist));
      expect($kind).toBe('Transaction');
    }
  });

  test('coins are found and split for a wanted balance', async () => {
    const signer = await chain.account(SUI / 2n, SUI / 2n);
    const transaction = new Transaction();
    transaction.transferObjects([coinWithBalance({ balance: (SUI * 3n) / 4n })], NOBODY);
    const { balanceChanges } = await execute(client, signer, transaction);
    expect(balanceChanges.find(({ address }) => address === NOBODY)?.amount).toBe('750000000');
  });

  test('a simulation without checks returns values without a signature or gas', async () => {
    const transaction = new Transaction();
    transaction.moveCall({ target: '0x2::clock::timestamp_ms', arguments: [transaction.object.clock()] });
    const result = await client.simulateTransaction({
      transaction,
      checksEnabled: false,
      include: { commandResults: true },
    });
    const time = bcs.u64().parse(result.commandResults?.[0]?.returnValues[0]?.bcs ?? new Uint8Array());
    expect(Number(time)).toBeGreaterThan(0);
  });
});

describe('events, checkpoints and streams', () => {
  test('events of a transaction have no position; listed ones have', async () => {
    const signer = await chain.account(SUI);
    const record = idOfType(
      (await execute(client, signer, staking(signer, 'has-events'))).objectTypes,
      '::staking::StakeRecord',
    );
    const eventType = `${packageId}::staking::StakeCreated`;
    const { events } = await client.core.listEvents({ filter: { eventType }, limit: 1000 });
    const found = events.find(({ json }) => json?.record === record);
    expect(found).toMatchObject({
      packageId,
      module: 'staking',
      sender: signer.toSuiAddress(),
      eventType,
      eventIndex: 0,
      checkpoint: expect.stringMatching(/^\d+$/),
      json: { node_id: 'has-events', amount_mist: '1000000' },
    });
    const next = await client.core.listEvents({ filter: { eventType }, limit: 1 });
    expect(next.events).toHaveLength(1);
    expect(next.hasNextPage).toBe(true);
  });

  test('events are listed by the module that emitted them', async () => {
    const { events } = await client.core.listEvents({
      filter: { emitModule: `${packageId}::cluster` },
      limit: 1000,
    });
    expect(events.length).toBeGreaterThan(0);
    expect(new Set(events.map(({ module }) => module))).toEqual(new Set(['cluster']));
  });

  test('every frame of a listing has a cursor; one alone says why it ends', async () => {
    const frames = async (limit: number) => {
      const call = client.ledgerService.listEvents({
        filter: eventFilter(`${packageId}::staking::StakeCreated`),
        options: { limit, ordering: 0 },
      });
      const all: GrpcTypes.ListEventsResponse[] = [];
      for await (const frame of call.responses) all.push(frame);
      expect(all.every(({ watermark }) => (watermark?.cursor?.length ?? 0) > 0)).toBe(true);
      expect(all.filter(({ end }) => end !== undefined)).toHaveLength(1);
      return all.at(-1);
    };
    await stakeForNode(client, owner, packageId, cluster, 'is-listed');
    // The item limit rides on the last item, the ledger's tip comes on a frame without one.
    const limited = await frames(1);
    expect([limited?.end?.reason, limited?.event !== undefined]).toEqual([1, true]);
    const whole = await frames(1000);
    expect([whole?.end?.reason, whole?.event !== undefined]).toEqual([5, false]);
  });

  test('transactions are listed by sender', async () => {
    const signer = await chain.account(SUI);
    const { digest } = await execute(client, signer, simplePayment());
    const { transactions } = await client.core.listTransactions({
      filter: { sender: signer.toSuiAddress() },
    });
    expect(transactions.map((one) => one.Transaction?.digest)).toEqual([digest]);
  });

  test('an unfiltered stream of checkpoints starts at the tip and leaves none out', async () => {
    const signer = await chain.account(SUI);
    const abort = new AbortController();
    const call = client.subscriptionService.subscribeCheckpoints(
      { readMask: { paths: ['sequence_number', 'transactions.digest'] } },
      { abort: abort.signal },
    );
    await call.headers;
    const { digest } = await execute(client, signer, simplePayment());
    await execute(client, signer, simplePayment());
    const numbers: bigint[] = [];
    let found: string[] = [];
    for await (const { cursor, checkpoint } of call.responses) {
      expect(checkpoint?.sequenceNumber).toBe(cursor);
      numbers.push(cursor ?? -1n);
      const digests = checkpoint?.transactions.map((transaction) => transaction.digest ?? '') ?? [];
      if (digests.includes(digest)) found = digests;
      if (found.length > 0 && numbers.length > 1) break;
    }
    abort.abort();
    numbers.slice(1).forEach((number, index) => {
      expect(number).toBe((numbers[index] ?? 0n) + 1n);
    });
    // The system's own transactions are in every checkpoint.
    expect(found.length).toBeGreaterThan(1);
  });

  test('a filtered stream of events carries a cursor on every frame, also on those without an event', async () => {
    const signer = await chain.account(SUI);
    const abort = new AbortController();
    const call = client.subscriptionService.subscribeEvents(
      {
        filter: eventFilter(`${packageId}::staking::StakeCreated`),
        readMask: { paths: ['event_type', 'json', 'transaction_digest'] },
      },
      { abort: abort.signal },
    );
    await call.headers;
    const { digest } = await execute(client, signer, staking(signer, 'is-streamed'));
    for await (const { event, watermark } of call.responses) {
      expect(watermark?.cursor?.length).toBeGreaterThan(0);
      if (!event) continue;
      expect(event.transactionDigest).toBe(digest);
      break;
    }
    abort.abort();
  });
});

describe.skipIf(isReal)('what only a chain of one’s own has', () => {
  test('the faucet of the SDK gives a coin', async () => {
    const recipient = (await chain.account()).toSuiAddress();
    const { coins_sent } = await requestSuiFromFaucetV2({ host: chain.url, recipient });
    expect((await coinsOf(recipient)).map(({ objectId }) => objectId)).toEqual(
      coins_sent?.map(({ id }) => id),
    );
  });

  test('its clock and its epoch are turned by hand', async () => {
    const devnet = chain.devnet;
    if (!devnet) throw new Error('this is no development chain');
    const readClock = async () => {
      const { object } = await client.getObject({ objectId: '0x6', include: { content: true } });
      return Number(bcs.u64().parse((object.content ?? new Uint8Array()).subarray(32)));
    };
    const before = await readClock();
    devnet.advanceClock(3_600_000);
    expect((await readClock()) - before).toBeGreaterThanOrEqual(3_600_000);
    const { epoch } = (await client.core.getCurrentSystemState()).systemState;
    devnet.advanceEpoch();
    expect((await client.core.getCurrentSystemState()).systemState.epoch).toBe(String(Number(epoch) + 1));
  });
});

// --- words of this suite ------------------------------------------------------------------------------------------------

/** The fields of a message that are set, by name. */
function set(message: object | undefined): string[] {
  return Object.entries(message ?? {})
    .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
    .map(([name]) => name)
    .sort();
}

function simplePayment(mist = 1_000n): Transaction {
  const transaction = new Transaction();
  pay(transaction, NOBODY, mist);
  return transaction;
}

function newParametersOnly(transaction: Transaction, address: string): void {
  newParameters(transaction, packageId, address);
}

function staking(signer: Ed25519Keypair, nodeId: string): Transaction {
  const transaction = new Transaction();
  transaction.setSender(signer.toSuiAddress());
  transaction.moveCall({
    target: `${packageId}::staking::stake_for_node`,
    arguments: [
      transaction.object(cluster),
      transaction.splitCoins(transaction.gas, [1_000_000n]),
      transaction.pure.string(nodeId),
      transaction.object.clock(),
    ],
  });
  return transaction;
}

async function mint(signer: Ed25519Keypair, record: string): Promise<string> {
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

async function tableId(): Promise<string> {
  const { object } = await client.getObject({ objectId: cluster, include: { json: true } });
  const { nodes } = object.json as { nodes: { id: string } };
  return nodes.id;
}

const eventFilter = (eventType: string): GrpcTypes.EventFilter => ({
  terms: [
    {
      literals: [{ negated: false, predicate: { oneofKind: 'eventType', eventType: { eventType } } }],
    },
  ],
});
