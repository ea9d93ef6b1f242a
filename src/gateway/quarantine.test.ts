import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { proposedUntilMs } from './fact-judgement.ts';
import { staker } from './members.fixture.ts';
import { World } from './world.fixture.ts';

const heldFor = async (world: World, nodeId: string) => (await world.kubernetes.node(nodeId))?.cordonedFor;

describe('an open slash proposal', () => {
  test('in quarantine: no new pods and a notice to the host, until the proposal is over; nothing is evicted', async () => {
    await using world = await World.start({ onProposal: 'quarantine' });
    const worker = await world.member('worker-1');
    const other = await world.member('worker-2', { staker: staker(2) });
    world.chain.propose(worker.recordId, world.clock.nowMs() + 60_000);
    await settled(60);
    expect(await heldFor(world, 'worker-1')).toBe('slash_proposed');
    expect(await heldFor(world, 'worker-2')).toBeUndefined();
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'notice', reason: 'slash_proposed' }]);
    expect((await other.heartbeat()).directives).toEqual([]);
    expect((await world.audit()).find(({ event }) => event === 'node.hold_tainted')).toMatchObject({
      node_id: 'worker-1',
      reason: 'slash_proposed',
    });

    // It ends by time alone: nobody has to call `expire`.
    await world.pass(65_000);
    expect(await heldFor(world, 'worker-1')).toBeUndefined();
    expect((await worker.heartbeat()).directives).toEqual([]);
  }, 60_000);

  test('is over when its votes are taken back', async () => {
    await using world = await World.start({ onProposal: 'quarantine' });
    const worker = await world.member('worker-1');
    world.chain.propose(worker.recordId, world.clock.nowMs() + 3_600_000);
    await settled(60);
    world.chain.change(worker.recordId, { proposals: [], openProposals: 0n });
    await settled(60);
    expect(await heldFor(world, 'worker-1')).toBeUndefined();
  });

  test('that ends in a slash evicts as any slash does', async () => {
    await using world = await World.start({ onProposal: 'quarantine' });
    const worker = await world.member('worker-1');
    world.chain.propose(worker.recordId, world.clock.nowMs() + 3_600_000);
    await settled(60);
    world.chain.slash(worker.recordId);
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
  });

  test('changes nothing by default: one slasher alone can open it', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.propose(worker.recordId, world.clock.nowMs() + 60_000);
    await settled(60);
    expect(await heldFor(world, 'worker-1')).toBeUndefined();
    expect((await worker.heartbeat()).directives).toEqual([]);
  });
});

test.each([
  ['no proposal', [], undefined],
  ['one that is open', [{ expiresAtMs: 20, voters: ['a'] }], 20],
  [
    'the last of several',
    [
      { expiresAtMs: 20, voters: ['a'] },
      { expiresAtMs: 30, voters: ['x', 'b'] },
    ],
    30,
  ],
  ['one whose time is over', [{ expiresAtMs: 10, voters: ['a'] }], undefined],
  ['one whose votes were taken back', [{ expiresAtMs: 20, voters: [] }], undefined],
  ['one of somebody who is no slasher any more', [{ expiresAtMs: 20, voters: ['x'] }], undefined],
])('until when a stake is under a proposal: %s', (_what, proposals, expected) => {
  const full = proposals.map((proposal) => ({ id: '0xproposal', proposer: 'a', ...proposal }));
  expect(proposedUntilMs({ proposals: full }, { slashers: ['a', 'b'] }, 10)).toBe(expected);
});
