import { describePlugin, loadPlugin } from 'k3s-daas/plugin/testing';
import { expect, test, vi } from 'vitest';
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

test('a slash proposal is told with who, why, evidence and until when; again with each vote; and that it is over', async () => {
  const { loaded, recordId } = await watching();
  await using _ = loaded;
  const executableAtMs = Date.UTC(2027, 0, 1);
  const proposal = {
    id: '0xproposal',
    proposer: '0xslasher',
    voters: ['0xslasher'],
    expiresAtMs: executableAtMs,
  };
  loaded.chain.slashProposals.set(proposal.id, {
    amountMist: 2_000_000_000n,
    reason: 'mined on it',
    evidence: new Uint8Array(32).fill(0xab),
    answer: new Uint8Array(),
    executableAtMs,
    expiresAtMs: executableAtMs,
  });
  loaded.chain.change(recordId, { proposals: [proposal] });
  await loaded.clock.advance(9_000);
  expect(loaded.facts('attention.needed')).toEqual([
    {
      kind: 'slash_proposed',
      severity: 'critical',
      subject: '0xproposal',
      summary:
        '0xslasher proposes to slash this stake by 2 SUI, because: mined on it (1 votes; can be executed from 2027-01-01T00:00:00.000Z on)',
      remedy: expect.stringContaining('slash answer 0xproposal'),
      details: expect.objectContaining({ evidence: 'ab'.repeat(32), proposer: '0xslasher', executableAtMs }),
    },
  ]);
  loaded.chain.change(recordId, { proposals: [{ ...proposal, voters: ['0xslasher', '0xother'] }] });
  await loaded.clock.advance(3_000);
  expect(loaded.facts('attention.needed')).toHaveLength(2);
  loaded.chain.change(recordId, { proposals: [] });
  await loaded.clock.advance(3_000);
  expect(loaded.facts('attention.ended')).toEqual([{ kind: 'slash_proposed', subject: '0xproposal' }]);
});

test('a chain that is away for five minutes is told once, and when it is back', async () => {
  const { loaded } = await watching();
  await using _ = loaded;
  loaded.chain.isDown = true;
  await loaded.clock.advance(200_000);
  expect(loaded.facts('attention.needed')).toEqual([]);
  await loaded.clock.advance(200_000);
  expect(loaded.facts('attention.needed')).toMatchObject([{ kind: 'chain_unreachable' }]);
  loaded.chain.isDown = false;
  await loaded.clock.advance(3_000);
  expect(loaded.facts('attention.ended')).toEqual([{ kind: 'chain_unreachable' }]);
});

async function told() {
  const loaded = await loadPlugin(slashing);
  loaded.gateways.tellsChanges = true;
  const recordId = loaded.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5000n });
  const tokenId = loaded.chain.addToken(recordId, new Uint8Array(32));
  const [gateway] = loaded.chain.gateways;
  loaded.emit('worker.registered', {
    nodeId: 'worker-1',
    recordId,
    sealTokenId: tokenId,
    gatewayId: gateway?.id ?? '',
    gatewayUrl: gateway?.url ?? '',
    incarnation: 1,
    heartbeatIntervalMs: 10_000,
    hasJoinCredential: true,
  });
  await loaded.clock.advance(10_000);
  expect(loaded.gateways.streams.size).toBe(1);
  return { loaded, recordId };
}

test('while the gateway tells of changes the record is read seldom, and at once when one is told', async () => {
  const { loaded, recordId } = await told();
  await using _ = loaded;
  loaded.chain.slash(recordId);
  await loaded.clock.advance(1_000);
  expect(loaded.control.stops).toEqual([]);
  for (const { onChange } of loaded.gateways.streams) onChange();
  await loaded.clock.advance(0);
  expect(loaded.control.stops).toMatchObject([{ status: 'slashed', source: 'chain' }]);
});

test('a gateway that announces a slash which the chain does not show ends nothing', async () => {
  const { loaded } = await told();
  await using _ = loaded;
  for (const { onChange } of loaded.gateways.streams) onChange();
  await loaded.clock.advance(60_000);
  expect(loaded.control.stops).toEqual([]);
});

test('a gateway that keeps silent about a slash delays it by no more than a quarter of a minute', async () => {
  const { loaded, recordId } = await told();
  await using _ = loaded;
  loaded.chain.slash(recordId);
  await loaded.clock.advance(15_000);
  expect(loaded.control.stops).toHaveLength(1);
});

test('a full node that shows the change a second later than the gateway is asked again soon', async () => {
  const { loaded, recordId } = await told();
  await using _ = loaded;
  for (const { onChange } of loaded.gateways.streams) onChange();
  await loaded.clock.advance(400);
  loaded.chain.slash(recordId);
  await loaded.clock.advance(200);
  expect(loaded.control.stops).toHaveLength(1);
});

test('a gateway that tells of changes without end makes the host ask the chain twice a second, and no more', async () => {
  const { loaded, recordId } = await told();
  await using _ = loaded;
  const reading = vi.spyOn(loaded.chain, 'records');
  const flood = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += 10) {
      for (const { onChange } of loaded.gateways.streams) onChange();
      await loaded.clock.advance(10);
    }
  };
  await flood(5_000);
  expect(reading.mock.calls.length).toBeLessThanOrEqual(11);
  loaded.chain.slash(recordId);
  await flood(500);
  expect(loaded.control.stops).toHaveLength(1);
});
