import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';
import { ACTS, type ActName, carryOutNamed, diesAtStep, MOMENTS, TOP_UP_MIST } from './mortal.ts';
import { lifeOf } from './mortal-life.ts';
import { sentBy, tokensOf } from './sent-by.ts';

const DAY_MS = 86_400_000;
const stakeMist = 2n * SUI;
const key = () => randomBytes(32).toString('hex');

let world: ChainWorld;
let nodes = 0;
beforeAll(async () => {
  world = await startChainWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const nextNode = () => {
  nodes += 1;
  return `killed-${nodes}`;
};

type Wallet = Awaited<ReturnType<ChainWorld['wallet']>>;

/** A stake with its token, ready for the act. */
async function readyFor(act: ActName): Promise<{ wallet: Wallet; nodeId: string; recordId: string }> {
  const wallet = await world.wallet();
  const nodeId = nextNode();
  const chain = await world.stakeChain(wallet);
  const holderKey = Uint8Array.from(randomBytes(32));
  const { objectId: recordId } = await chain.join({ nodeId, stakeMist, holderKey });
  if (act === 'withdraw') {
    await chain.requestUnstake({ recordId });
    world.devnet.advanceClock(8 * DAY_MS);
  }
  return { wallet, nodeId, recordId };
}

/** What each act leaves, whatever happened on the way. */
const LEFT: Readonly<
  Record<ActName, { record: object; tokens: number; lockedMist: bigint; transactions: number }>
> = {
  rotate: {
    record: { status: 'active', tokenSequence: 2n },
    tokens: 1,
    lockedMist: stakeMist,
    transactions: 2,
  },
  'top-up': {
    record: { status: 'active', stakeMist: stakeMist + TOP_UP_MIST, tokenSequence: 1n },
    tokens: 1,
    lockedMist: stakeMist + TOP_UP_MIST,
    transactions: 2,
  },
  unstake: {
    record: { status: 'unbonding', token: undefined },
    tokens: 0,
    lockedMist: stakeMist,
    transactions: 2,
  },
  withdraw: { record: { status: 'withdrawn', stakeMist: 0n }, tokens: 0, lockedMist: 0n, transactions: 3 },
};

const deaths = ACTS.flatMap((act) => MOMENTS.map((moment) => [act, moment] as const));

test.each(deaths)('kill -9 during the %s, %s: it happens once', async (act, moment) => {
  const { wallet, nodeId, recordId } = await readyFor(act);
  const plan = join(world.directory, `${nodeId}.json`);
  await writeFile(
    plan,
    JSON.stringify({
      url: world.url,
      deployment: world.deployment,
      keyFile: wallet.keyFile,
      journal: join(world.directory, `${nodeId}-journal.json`),
      nodeId,
      recordId,
      stakeMist: '0',
      holderKey: key(),
      isOneTransaction: false,
      act,
    }),
  );
  expect(await lifeOf(plan, { step: act, moment })).toBe('SIGKILL');
  expect(await lifeOf(plan)).toBe(0);
  const { record, tokens, lockedMist, transactions } = LEFT[act];
  expect((await world.client.records([recordId])).get(recordId)).toMatchObject(record);
  expect(await tokensOf(world, wallet.address)).toBe(tokens);
  const { count, gasMist } = await sentBy(world, wallet.address);
  expect(count).toBe(transactions);
  expect(await world.balance(wallet.address)).toBe(100n * SUI - lockedMist - gasMist);
});

/** Far apart enough that the test takes a minute, and odd, so that they fall on reads, writes and sends alike. */
const STRIDE = 9;

test('a whole life that dies again and again, at any call or write, ends with its start minus gas, to the MIST', async () => {
  let lives = 0;
  for (let step = 1; ; step += STRIDE) {
    const wallet = await world.wallet();
    const life = { wallet, nodeId: nextNode(), recordId: '', holderKey: key(), rotatedTo: key() };
    const died = await liveUntil(step, life);
    await liveUntil(Number.POSITIVE_INFINITY, life);
    lives += 1;
    const { count, gasMist } = await sentBy(world, wallet.address);
    expect({
      step,
      count,
      tokens: await tokensOf(world, wallet.address),
      left: await world.balance(wallet.address),
    }).toEqual({ step, count: 5, tokens: 0, left: 100n * SUI - gasMist });
    if (!died) break;
  }
  expect(lives).toBeGreaterThan(10);
}, 300_000);

interface Life {
  readonly wallet: Wallet;
  readonly nodeId: string;
  /** Known once it was made, as an operator knows it from the list. */
  recordId: string;
  readonly holderKey: string;
  readonly rotatedTo: string;
}

/** Stakes, mints, rotates, tops up, unstakes and withdraws; at the given step of its journal and network it dies. */
function liveUntil(step: number, life: Life): Promise<boolean> {
  const { wallet, nodeId } = life;
  const journalFile = join(world.directory, `${nodeId}-journal.json`);
  return diesAtStep(step, { world, wallet, journalFile }, async (session) => {
    const { chain, journal } = session;
    await chain.settlePending();
    const known = await recordOf(life);
    if (!known) {
      const holderKey = Uint8Array.from(Buffer.from(life.holderKey, 'hex'));
      await chain.join({ nodeId, stakeMist, holderKey });
    }
    const record = await recordOf(life);
    if (!record) throw new Error('no record');
    life.recordId = record.id;
    const act = (name: ActName) =>
      carryOutNamed(name, { nodeId, recordId: record.id, holderKey: life.rotatedTo }, session);
    const hasIntent = (name: ActName) => journal.read(`intents/${name}/${record.id}`) !== undefined;
    if (record.status === 'active') {
      if (record.tokenSequence < 2n || hasIntent('rotate')) await act('rotate');
      if (record.stakeMist === stakeMist || hasIntent('top-up')) await act('top-up');
    }
    if (record.status === 'active' || hasIntent('unstake')) await act('unstake');
    world.devnet.advanceClock(8 * DAY_MS);
    if (record.status !== 'withdrawn' || hasIntent('withdraw')) await act('withdraw');
  });
}

/** The record of the life, looked up without its mortal connection. */
async function recordOf({ nodeId, recordId }: Life) {
  const id = recordId === '' ? await world.client.liveRecordOf(nodeId) : recordId;
  return id === undefined ? undefined : (await world.client.records([id])).get(id);
}
