import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transaction } from '@mysten/sui/transactions';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LogFields, silentLog, systemClock } from '#base';
import {
  contracts,
  createChainClient,
  createStakeChain,
  defaultSettings,
  openNetwork,
  operations,
  type Wallet,
} from '#chain';
import { openJournal } from '#infrastructure';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';
import { diesAtStep, dyingAfterWrite, isExecution, MOMENTS } from './mortal.ts';
import { lifeOf } from './mortal-life.ts';

let world: ChainWorld;
beforeAll(async () => {
  world = await startChainWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

let nodes = 0;
const nextNode = () => {
  nodes += 1;
  return `mortal-${nodes}`;
};
const stakeMist = 2n * SUI;
const holderKey = new Uint8Array(32).fill(5);

/** What the transactions of a journal's receipts took in gas, all told. */
async function gasOf(journalFile: string): Promise<{ gasMist: bigint; transactions: number }> {
  const journal = await openJournal(journalFile);
  const receipts = journal.keys().filter((key) => key.includes('/receipt/'));
  let gasMist = 0n;
  for (const key of receipts) {
    const { digest } = journal.read(key) as { digest: string };
    const { Transaction } = await world.client.endpoints.read('a transaction', (client, signal) =>
      client.core.getTransaction({ digest, include: { effects: true }, signal }),
    );
    const used = Transaction?.effects.gasUsed;
    gasMist +=
      BigInt(used?.computationCost ?? 0) + BigInt(used?.storageCost ?? 0) - BigInt(used?.storageRebate ?? 0);
  }
  return { gasMist, transactions: receipts.length };
}

async function recordsOf(address: string): Promise<string[]> {
  const events = await world.client.endpoints.read('events', async (client, signal) => {
    const all = [];
    let after: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof client.core.listEvents>> = await client.core.listEvents({
        filter: { eventType: `${world.deployment.packageId}::staking::StakeCreated` },
        ...(after !== null && { after }),
        signal,
      });
      all.push(...page.events);
      after = page.hasNextPage ? page.endCursor : null;
    } while (after !== null);
    return all;
  });
  return events
    .map(({ bcs }) => contracts.staking.StakeCreated.parse(bcs))
    .filter(({ staker }) => staker === address)
    .map(({ record }) => record);
}

describe('kill -9', () => {
  const deaths = [
    ...MOMENTS.map((moment) => ['stake', moment] as const),
    ...MOMENTS.map((moment) => ['mint', moment] as const),
    ...MOMENTS.map((moment) => ['join', moment] as const),
  ];

  test.each(deaths)(
    'during the %s, %s: one record, one token, the balance short by one stake and the gas',
    async (step, moment) => {
      const wallet = await world.wallet();
      const nodeId = nextNode();
      const plan = join(world.directory, `${nodeId}.json`);
      const journal = join(world.directory, `${nodeId}-journal.json`);
      await writeFile(
        plan,
        JSON.stringify({
          url: world.url,
          deployment: world.deployment,
          keyFile: wallet.keyFile,
          journal,
          nodeId,
          stakeMist: stakeMist.toString(),
          holderKey: Buffer.from(holderKey).toString('hex'),
          isOneTransaction: step === 'join',
        }),
      );
      expect(await lifeOf(plan, { step, moment })).toBe('SIGKILL');
      expect(await lifeOf(plan)).toBe(0);

      const records = await recordsOf(wallet.address);
      expect(records).toHaveLength(1);
      const record = (await world.client.records(records)).get(records[0] as string);
      expect(record).toMatchObject({ nodeId, stakeMist, tokenSequence: 1n });
      expect(record?.token).toBeDefined();
      const { gasMist, transactions } = await gasOf(journal);
      expect(transactions).toBe(step === 'join' ? 1 : 2);
      expect(await world.balance(wallet.address)).toBe(100n * SUI - stakeMist - gasMist);
    },
  );
});

test.each([
  ['in two transactions', 2],
  ['in one', 1],
] as const)(
  'a death at any moment of a life, before or after any call and any write, costs one stake %s',
  async (_what, expected) => {
    let step = 1;
    for (; ; step += 1) {
      const wallet = await world.wallet();
      const nodeId = nextNode();
      const file = join(world.directory, `${nodeId}-journal.json`);
      const isJoin = expected === 1;
      const died = await liveUntil(step, { wallet, nodeId, isJoin }, file);
      await liveUntil(Number.POSITIVE_INFINITY, { wallet, nodeId, isJoin }, file);
      const records = await recordsOf(wallet.address);
      const { gasMist, transactions } = await gasOf(file);
      const left = await world.balance(wallet.address);
      expect({ step, records: records.length, transactions, left }).toEqual({
        step,
        records: 1,
        transactions: expected,
        left: 100n * SUI - stakeMist - gasMist,
      });
      const token = (await world.client.records(records)).get(records[0] as string)?.tokenSequence;
      expect(token).toBe(1n);
      if (!died) break;
    }
    // Far fewer would mean that the rims were not watched.
    expect(step).toBeGreaterThan(10 * expected);
  },
  300_000,
);

/** Stakes and mints; at the given step of its journal and network nothing of it happens any more. */
function liveUntil(
  step: number,
  { wallet, nodeId, isJoin }: { wallet: Wallet; nodeId: string; isJoin: boolean },
  journalFile: string,
): Promise<boolean> {
  return diesAtStep(step, { world, wallet, journalFile }, async ({ chain }) => {
    if (isJoin) return void (await chain.join({ nodeId, stakeMist, holderKey }));
    const { objectId: recordId } = await chain.stakeForNode({ nodeId, stakeMist });
    await chain.createWorkerSealToken({ recordId, holderKey });
  });
}

describe('signed bytes that never were sent', () => {
  /** A life that ends after the transaction is on disk and before it is sent. */
  async function dieBeforeSending(wallet: Awaited<ReturnType<ChainWorld['wallet']>>, nodeId: string) {
    const journal = await world.journal(wallet);
    const chain = await world.stakeChain(wallet, { journal: dyingAfterWrite(journal) });
    await expect(chain.stakeForNode({ nodeId, stakeMist })).rejects.toThrow('died');
  }

  test('are sent when the process is back', async () => {
    const wallet = await world.wallet();
    const nodeId = nextNode();
    await dieBeforeSending(wallet, nodeId);
    const chain = await world.stakeChain(wallet);
    const receipt = await chain.settlePending();
    expect(receipt?.objectId).toBe(await world.client.liveRecordOf(nodeId));
    expect(await chain.settlePending()).toBeUndefined();
    expect(await chain.stakeForNode({ nodeId, stakeMist })).toEqual(receipt);
  });

  test('die with their gas coin, and another transaction is built', async () => {
    const wallet = await world.wallet();
    const nodeId = nextNode();
    await dieBeforeSending(wallet, nodeId);
    // The owner spends the coin elsewhere, which also merges it with another one.
    const { endpoints } = await openNetwork([world.url], { clock: systemClock });
    const elsewhere = await operations.createCluster.plan(
      { endpoints, wallet },
      { packageId: world.deployment.packageId, settings: defaultSettings(wallet.address) },
    );
    await elsewhere.execute();
    const chain = await world.stakeChain(wallet);
    const { objectId } = await chain.stakeForNode({ nodeId, stakeMist });
    expect(await world.client.liveRecordOf(nodeId)).toBe(objectId);
    expect(await recordsOf(wallet.address)).toEqual([objectId]);
  });

  test('die with their gas coin when it is merged away', async () => {
    const wallet = await world.wallet();
    await world.devnet.faucet(wallet.address, 60n * SUI);
    const nodeId = nextNode();
    await dieBeforeSending(wallet, nodeId);
    // As a wallet program does that pays with all coins there are.
    const { endpoints } = await openNetwork([world.url], { clock: systemClock });
    await endpoints.withOne(async (endpoint) => {
      const coins = await endpoint.call('coins', (client) =>
        client.core.listCoins({ owner: wallet.address }),
      );
      const [small, large] = coins.objects.sort((a, b) => Number(BigInt(a.balance) - BigInt(b.balance)));
      if (!small || !large) throw new Error('two coins were given');
      const tx = new Transaction();
      tx.setSender(wallet.address);
      tx.setGasPayment([small, large]);
      tx.setGasBudget(10_000_000n);
      tx.transferObjects([tx.splitCoins(tx.gas, [1n])], wallet.address);
      const bytes = await endpoint.call('a build', (client) => tx.build({ client }));
      const signature = await wallet.signTransaction(bytes);
      await endpoint.call('a transaction', (client) =>
        client.core.executeTransaction({ transaction: bytes, signatures: [signature] }),
      );
    });
    const reasons: unknown[] = [];
    const log = {
      ...silentLog,
      warn: (_message: string, fields?: LogFields) => reasons.push(fields?.reason),
    };
    const chain = await world.stakeChain(wallet, { log });
    const { objectId } = await chain.stakeForNode({ nodeId, stakeMist });
    expect(await recordsOf(wallet.address)).toEqual([objectId]);
    expect(reasons).toEqual([expect.stringContaining('was merged away')]);
  });

  test('die with their epoch, and another transaction is built', async () => {
    const wallet = await world.wallet();
    const nodeId = nextNode();
    await dieBeforeSending(wallet, nodeId);
    world.devnet.advanceEpoch();
    const chain = await world.stakeChain(wallet);
    expect(await chain.settlePending()).toBeUndefined();
    const { objectId } = await chain.stakeForNode({ nodeId, stakeMist });
    expect(await recordsOf(wallet.address)).toEqual([objectId]);
  });

  test('are not replaced while nobody can say what became of them', async () => {
    const wallet = await world.wallet();
    const nodeId = nextNode();
    await dieBeforeSending(wallet, nodeId);
    const { deployment } = world;
    const unreachable = createChainClient({
      endpoints: ['http://127.0.0.1:1'],
      deployment,
      clock: systemClock,
      timeoutMs: 200,
    });
    const away = createStakeChain({
      client: unreachable,
      wallet,
      journal: await world.journal(wallet),
      log: silentLog,
      settleForMs: 0,
    });
    await expect(away.stakeForNode({ nodeId, stakeMist })).rejects.toMatchObject({
      code: 'DAAS_CHAIN_UNAVAILABLE',
      isRetryable: true,
    });
    const back = await world.stakeChain(wallet);
    const { objectId } = await back.stakeForNode({ nodeId, stakeMist });
    expect(await recordsOf(wallet.address)).toEqual([objectId]);
  });

  test('by another wallet than today’s are settled as that wallet’s', async () => {
    const earlier = await world.wallet();
    const nodeId = nextNode();
    await dieBeforeSending(earlier, nodeId);
    const now = await world.wallet();
    const chain = await world.stakeChain(now, { journal: await world.journal(earlier) });
    await expect(chain.stakeForNode({ nodeId, stakeMist })).rejects.toMatchObject({
      code: 'DAAS_NODE_ID_TAKEN',
    });
    expect(await recordsOf(earlier.address)).toHaveLength(1);
    expect(await world.balance(now.address)).toBe(100n * SUI);
  });

  test('for a name that somebody else took meanwhile end in that name’s error and cost no stake', async () => {
    const wallet = await world.wallet();
    const nodeId = nextNode();
    await dieBeforeSending(wallet, nodeId);
    const other = await world.stakeChain(await world.wallet());
    await other.stakeForNode({ nodeId, stakeMist });
    const chain = await world.stakeChain(wallet);
    await expect(chain.stakeForNode({ nodeId, stakeMist })).rejects.toMatchObject({
      code: 'DAAS_NODE_ID_TAKEN',
    });
    expect(await recordsOf(wallet.address)).toEqual([]);
    expect(await world.balance(wallet.address)).toBeGreaterThan(99n * SUI);
  });
});

test('an answer that is lost is asked for again with the same bytes', async () => {
  const wallet = await world.wallet();
  const nodeId = nextNode();
  const sent: string[] = [];
  const client = createChainClient({
    endpoints: [world.url],
    deployment: world.deployment,
    clock: systemClock,
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      if (!isExecution(input)) return response;
      sent.push(Buffer.from(init?.body as Uint8Array).toString('base64'));
      if (sent.length > 2) return response;
      await response.arrayBuffer();
      throw new TypeError('fetch failed');
    },
  });
  const chain = await world.stakeChain(wallet, { client });
  const { objectId } = await chain.stakeForNode({ nodeId, stakeMist });
  expect(await recordsOf(wallet.address)).toEqual([objectId]);
  expect(sent).toHaveLength(3);
  expect(new Set(sent).size).toBe(1);
});

test('two programs with one wallet and two journals make one record', async () => {
  const wallet = await world.wallet();
  const nodeId = nextNode();
  const chains = await Promise.all(
    ['a', 'b'].map(async (name) =>
      world.stakeChain(wallet, {
        journal: await openJournal(join(world.directory, `${nodeId}-${name}.json`)),
      }),
    ),
  );
  const receipts = await Promise.all(chains.map((chain) => chain.stakeForNode({ nodeId, stakeMist })));
  expect(new Set(receipts.map(({ objectId }) => objectId)).size).toBe(1);
  expect(await recordsOf(wallet.address)).toHaveLength(1);
});
