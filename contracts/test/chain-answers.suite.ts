import type { GrpcTypes } from '@mysten/sui/grpc';
import { fromBase64 } from '@mysten/sui/utils';
import { describe, expect, test } from 'vitest';
import { execute, isFullNode, isMainnet, stakeForNode } from './chain.fixture.ts';
import {
  chain,
  client,
  cluster,
  coinsOf,
  eventFilter,
  explicit,
  NOBODY,
  owner,
  packageId,
  pay,
  refusal,
  SUI,
  send,
  set,
  simplePayment,
  tableId,
} from './chain-calls.fixture.ts';

/** How a Sui node answers: identity, masks, errors, refusals, as measured on a real executor. */
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
    await stakeForNode({ client, packageId, cluster }, owner, 'mask-node');
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

  test.skipIf(isFullNode)('what this chain has not is unimplemented', async () => {
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
