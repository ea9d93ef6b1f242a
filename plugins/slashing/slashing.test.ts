import { describePlugin, loadPlugin } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import slashing from './index.ts';

describePlugin(slashing, test, {
  badConfigs: [{ intervalMs: 0 }, { intervalMs: 'often' }, { interval: 5 }],
  exercise: async (loaded) => {
    const recordId = loaded.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5n });
    loaded.emit('stake.found', { recordId, stakeMist: 5n });
    await loaded.clock.advance(10_000);
  },
});

async function watching() {
  const loaded = await loadPlugin(slashing);
  const recordId = loaded.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5000n });
  const tokenId = loaded.chain.addToken(recordId, new Uint8Array(32));
  loaded.emit('stake.found', { recordId, stakeMist: 5000n });
  loaded.emit('seal.found', { recordId, tokenId });
  await loaded.clock.advance(6_000);
  expect(loaded.control.stops).toEqual([]);
  return { loaded, recordId, tokenId };
}

test('a slash ends the host within one interval, once', async () => {
  const { loaded, recordId } = await watching();
  await using _ = loaded;
  loaded.chain.slash(recordId);
  await loaded.clock.advance(3_000);
  expect(loaded.control.stops).toEqual([
    {
      status: 'slashed',
      cause: { kind: 'slashed', recordId, detail: 'slashed: test' },
      source: 'chain',
    },
  ]);
  await loaded.clock.advance(30_000);
  expect(loaded.control.stops).toHaveLength(1);
});

test.each(['unbonding', 'withdrawn'] as const)(
  'a stake that is %s ends it without a latch',
  async (status) => {
    const { loaded, recordId } = await watching();
    await using _ = loaded;
    loaded.chain.change(recordId, { status });
    await loaded.clock.advance(3_000);
    expect(loaded.control.stops).toMatchObject([
      { status, cause: { kind: 'ended', recordId }, source: 'chain' },
    ]);
  },
);

test('a revoked token ends it only after two readings', async () => {
  const { loaded, recordId } = await watching();
  await using _ = loaded;
  loaded.chain.change(recordId, { token: undefined });
  await loaded.clock.advance(3_000);
  expect(loaded.control.stops).toEqual([]);
  await loaded.clock.advance(3_000);
  expect(loaded.control.stops).toMatchObject([
    { cause: { kind: 'ended', detail: 'the Seal token was revoked' } },
  ]);
});

test('readings of before the token was minted, from an endpoint that is behind, are no revocation', async () => {
  const { loaded, recordId } = await watching();
  await using _ = loaded;
  loaded.chain.change(recordId, { token: undefined, tokenSequence: 0n });
  await loaded.clock.advance(60_000);
  expect(loaded.control.stops).toEqual([]);
});

test('a token that was never seen on the record is not one that was revoked', async () => {
  await using loaded = await loadPlugin(slashing);
  const recordId = loaded.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5000n });
  loaded.emit('seal.minted', { recordId, tokenId: '0xjust-minted', digest: 'd' });
  await loaded.clock.advance(60_000);
  expect(loaded.control.stops).toEqual([]);
});

test('a chain that is away for hours is no guilt and no failing task; it degrades the host until it answers', async () => {
  const { loaded, recordId } = await watching();
  await using _ = loaded;
  loaded.chain.isDown = true;
  await loaded.clock.advance(6_000);
  expect(loaded.health().ready).toBe(true);
  await loaded.clock.advance(3 * 3_600_000);
  expect(loaded.control.stops).toEqual([]);
  expect(loaded.failures).toEqual([]);
  expect(loaded.health()).toMatchObject({ live: true, ready: false });
  loaded.chain.isDown = false;
  await loaded.clock.advance(3_000);
  expect(loaded.health().ready).toBe(true);
  loaded.chain.slash(recordId);
  await loaded.clock.advance(3_000);
  expect(loaded.control.stops).toHaveLength(1);
});

test('a record that an endpoint does not have is not a verdict', async () => {
  const { loaded, recordId } = await watching();
  await using _ = loaded;
  loaded.chain.stakeRecords.delete(recordId);
  await loaded.clock.advance(600_000);
  expect(loaded.control.stops).toEqual([]);
});
