import { bcs } from '@mysten/sui/bcs';
import { requestSuiFromFaucetV2 } from '@mysten/sui/faucet';
import type { GrpcTypes } from '@mysten/sui/grpc';
import { Secp256k1Keypair } from '@mysten/sui/keypairs/secp256k1';
import { Secp256r1Keypair } from '@mysten/sui/keypairs/secp256r1';
import { MultiSigPublicKey } from '@mysten/sui/multisig';
import { coinWithBalance, SerialTransactionExecutor, Transaction } from '@mysten/sui/transactions';
import { describe, expect, test } from 'vitest';
import { execute, idOfType, isFullNode, stakeForNode } from './chain.fixture.ts';
import {
  chain,
  client,
  cluster,
  coinsOf,
  eventFilter,
  NOBODY,
  newParametersOnly,
  owner,
  packageId,
  pay,
  refusal,
  SUI,
  simplePayment,
  staking,
} from './chain-calls.fixture.ts';

/** What clients of a Sui chain rely on: signers, builders, events, streams, as measured on a real executor. */
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
    await stakeForNode({ client, packageId, cluster }, owner, 'has-an-event-too');
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
    await stakeForNode({ client, packageId, cluster }, owner, 'is-listed');
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

describe.skipIf(isFullNode)('what only a chain of one’s own has', () => {
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
