import { GrpcTypes } from '@mysten/sui/grpc';
import type { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction, TransactionDataBuilder } from '@mysten/sui/transactions';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ChainUnderTest, openChainUnderTest } from './chain.fixture.ts';

/** What a Sui node refuses for its size or form, as measured on a real executor. */

const SUI = 1_000_000_000n;
const NOBODY = normalizeSuiAddress('0xdeadbeef');

let chain: ChainUnderTest;
let client: ChainUnderTest['client'];
let signer: Ed25519Keypair;
beforeAll(async () => {
  chain = await openChainUnderTest();
  client = chain.client;
  signer = await chain.account(SUI);
}, 120_000);
afterAll(() => chain?.[Symbol.asyncDispose]());

/** Sent with everything given, so that nothing but the node itself can refuse it. */
async function send(build: (transaction: Transaction) => void): Promise<unknown> {
  const transaction = new Transaction();
  transaction.setSender(signer.toSuiAddress());
  transaction.setGasPrice(BigInt((await client.core.getReferenceGasPrice()).referenceGasPrice));
  transaction.setGasBudget(500_000_000n);
  transaction.setGasPayment((await client.listCoins({ owner: signer.toSuiAddress() })).objects);
  build(transaction);
  // The SDK's own check of the size would come first.
  const bytes = TransactionDataBuilder.restore(transaction.getData()).build({ maxSizeBytes: 1_000_000 });
  const { signature } = await signer.signTransaction(bytes);
  return client.executeTransaction({ transaction: bytes, signatures: [signature] }).then(
    () => 'executed',
    (error: unknown) => error,
  );
}

const splits = (transaction: Transaction, count: number) => {
  for (let index = 0; index < count; index += 1)
    transaction.mergeCoins(transaction.gas, [transaction.splitCoins(transaction.gas, [1n])]);
};

describe('a transaction', () => {
  test.each<[string, (transaction: Transaction) => void, RegExp]>([
    [
      'of more than 1024 commands',
      (transaction) => splits(transaction, 513),
      /Size limit exceeded: maximum commands in a programmable transaction is 1024/,
    ],
    [
      'with a pure argument of more than 16384 bytes',
      (transaction) => {
        transaction.pure(new Uint8Array(16_385));
        splits(transaction, 1);
      },
      /Size limit exceeded: maximum pure argument size is 16384/,
    ],
    [
      'of more than 131072 bytes',
      (transaction) => {
        for (let index = 0; index < 9; index += 1) transaction.pure(new Uint8Array(15_000).fill(index));
        splits(transaction, 1);
      },
      /Size limit exceeded: serialized transaction size exceeded maximum of 131072/,
    ],
    [
      'with more than 512 arguments in a command',
      (transaction) => {
        const coins = transaction.splitCoins(
          transaction.gas,
          Array.from({ length: 513 }, () => 1n),
        );
        transaction.transferObjects([coins[0] as never], NOBODY);
      },
      /Size limit exceeded/,
    ],
  ])('%s is refused', async (_what, build, sentence) => {
    expect(await send(build)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(sentence),
    });
  });

  test('of 1000 commands is executed', async () => {
    expect(await send((transaction) => splits(transaction, 500))).toBe('executed');
  });
});

describe('a query', () => {
  test.each(['', '0x', '0X6', '6', `0x${'0'.repeat(65)}`, '0xg'])(
    '%j is no id, in a batch either',
    async (id) => {
      const code = 'INVALID_ARGUMENT';
      await expect(client.ledgerService.getObject({ objectId: id })).rejects.toMatchObject({ code });
      await expect(
        client.ledgerService.batchGetObjects({ requests: [{ objectId: '0x6' }, { objectId: id }] }),
      ).rejects.toMatchObject({ code });
    },
  );

  test('for an id of megabytes gets a short refusal', async () => {
    await expect(
      client.ledgerService.getObject({ objectId: `0x${'z'.repeat(3_000_000)}` }),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test.each(['zz', ''])('for the digest %j finds nothing', async (digest) => {
    await expect(client.ledgerService.getTransaction({ digest })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('for more than 200 transactions at once is refused', async () => {
    const digests = Array.from({ length: 201 }, () => '11111111111111111111111111111111');
    await expect(client.ledgerService.batchGetTransactions({ digests })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('exceed limit of 200'),
    });
  });

  test('with a page size of 0 gets pages of one', async () => {
    const owner = await chain.account(1_000n, 1_000n);
    const { response } = await client.stateService.listOwnedObjects({
      owner: owner.toSuiAddress(),
      pageSize: 0,
    });
    expect(response.objects).toHaveLength(1);
    expect(response.nextPageToken).toBeDefined();
  });

  test('for a balance names the coin; what is zero is absent', async () => {
    const owner = NOBODY.replace('dead', 'feed');
    await expect(client.stateService.getBalance({ owner })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    const { response } = await client.stateService.getBalance({ owner, coinType: '0x2::sui::SUI' });
    expect(response.balance?.balance).toBeUndefined();
    expect((await client.getBalance({ owner })).balance.balance).toBe('0');
  });

  test('for the epoch says when it began and what gas costs', async () => {
    const { response } = await client.ledgerService.getEpoch({});
    expect(response.epoch).toMatchObject({
      epoch: expect.any(BigInt),
      referenceGasPrice: expect.any(BigInt),
      start: expect.anything(),
    });
  });

  test('goes on with the next page when the object that the token names is gone', async () => {
    const owner = await chain.account(SUI, 1_000n, 2_000n, 3_000n);
    const first = await client.stateService.listOwnedObjects({ owner: owner.toSuiAddress(), pageSize: 2 })
      .response;
    const transaction = new Transaction();
    const [largest, ...rest] = (await client.listCoins({ owner: owner.toSuiAddress() })).objects.sort(
      (a, b) => Number(BigInt(b.balance) - BigInt(a.balance)),
    );
    if (!largest) throw new Error('coins were given');
    transaction.setGasPayment([largest]);
    for (const { objectId } of rest) transaction.mergeCoins(transaction.gas, [objectId]);
    await client.signAndExecuteTransaction({ transaction, signer: owner });
    const next = client.stateService.listOwnedObjects({
      owner: owner.toSuiAddress(),
      pageSize: 2,
      ...(first.nextPageToken && { pageToken: first.nextPageToken }),
    });
    await expect(next.response).resolves.toBeDefined();
  });
});

describe('a path', () => {
  const call = (path: string, init: RequestInit) =>
    fetch(`${chain.url}${path}`, init).then(({ status }) => status);
  const headers = { 'content-type': 'application/grpc-web+proto' };
  const body = new Uint8Array(5);

  test('of a service that there is not is not found', async () => {
    expect(await call('/sui.rpc.v9.LedgerService/GetObject', { method: 'POST', headers, body })).toBe(404);
  });

  test('of a call answers nothing that is no call', async () => {
    const path = `/${GrpcTypes.LedgerService.typeName}/GetObject`;
    expect(await call(path, { method: 'GET' })).toBe(405);
    expect(await call(path, { method: 'POST', headers: { 'content-type': 'text/plain' }, body })).toBe(400);
  });
});
