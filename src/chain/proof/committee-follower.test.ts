import { describe, expect, test } from 'vitest';
import type { Nodes } from './collect.ts';
import { createCommitteeFollower } from './committee-follower.ts';
import { DAY_MS, epochChain, FIRST_END_MS, lastOf } from './epochs.fixture.ts';
import { signingCommittee } from './signed-chain.fixture.ts';
import type { TrustAnchors } from './trust-pin.ts';

const ENDED = 20;
const chain = epochChain(ENDED);
const timeOf = (epoch: number) => FIRST_END_MS + epoch * DAY_MS;

function follower(anchors: TrustAnchors, nowMs = timeOf(ENDED), from = chain) {
  return createCommitteeFollower({ nodes: from.nodes, anchors, nowMs: () => nowMs });
}

describe('who was away', () => {
  test('for up to 14 days follows from the pin alone, to the newest committee', async () => {
    const following = follower({ trust: chain.pinOf(ENDED - 14) });
    const committees = await following.upTo(BigInt(ENDED), chain.nodes);
    expect(committees.newestEpoch).toBe(BigInt(ENDED));
    await following.keepUp();
    expect(committees.newestEpoch).toBe(BigInt(ENDED));
  });

  test('for longer is refused without a recent pin, even for what the old committee signed', async () => {
    const following = follower({ trust: chain.pinOf(0) });
    for (const epoch of [1n, BigInt(ENDED)])
      await expect(following.upTo(epoch, chain.nodes)).rejects.toMatchObject({
        code: 'DAAS_TRUST_TOO_OLD',
        exitCode: 78,
      });
  });

  test('for longer follows with a recent pin that the way leads through', async () => {
    const following = follower({ trust: chain.pinOf(0), recentTrust: chain.pinOf(ENDED - 3) });
    const committees = await following.upTo(1n, chain.nodes);
    expect(committees.newestEpoch).toBe(BigInt(ENDED - 2));
    expect(committees.of(1n).epoch).toBe(1n);
  });

  test('is refused where the recent pin is old too', async () => {
    const following = follower({ trust: chain.pinOf(0), recentTrust: chain.pinOf(3) });
    await expect(following.upTo(5n, chain.nodes)).rejects.toMatchObject({ code: 'DAAS_TRUST_TOO_OLD' });
  });
});

test('another history that former validators have signed does not lead through the recent pin', async () => {
  const forged = epochChain(ENDED);
  const recentTrust = forged.pinOf(ENDED - 3);
  forged.serve(5, lastOf(5, signingCommittee(6n, [10_000n], 200)));
  const following = follower({ trust: forged.pinOf(0), recentTrust }, timeOf(ENDED), forged);
  await expect(following.upTo(6n, forged.nodes)).rejects.toMatchObject({ code: 'DAAS_PROOF_INVALID' });
});

test('a process that follows never grows too old, however late its next question comes', async () => {
  const long = epochChain(ENDED);
  let nowMs = timeOf(1);
  const following = createCommitteeFollower({
    nodes: long.nodes,
    anchors: { trust: long.pinOf(0) },
    nowMs: () => nowMs,
  });
  await following.upTo(1n, long.nodes);
  nowMs = timeOf(ENDED);
  expect((await following.upTo(18n, long.nodes)).newestEpoch).toBe(18n);
});

test('a node of the pool that withholds a step keeps nobody from the proof of a node that has it', async () => {
  const honest = epochChain(ENDED);
  const pruned = epochChain(ENDED - 5);
  const following = createCommitteeFollower({
    nodes: pruned.nodes,
    anchors: { trust: honest.pinOf(ENDED - 10) },
    nowMs: () => timeOf(ENDED),
  });
  expect((await following.upTo(BigInt(ENDED), honest.nodes)).newestEpoch).toBe(BigInt(ENDED));
});

test('what is known is answered while another step hangs: a claimed epoch holds nobody else up', async () => {
  const honest = epochChain(ENDED - 5);
  const hanging = Promise.withResolvers<never>();
  let hangs = false;
  const nodes: Nodes = { read: (...asked) => (hangs ? hanging.promise : honest.nodes.read(...asked)) };
  const following = createCommitteeFollower({
    nodes,
    anchors: { trust: honest.pinOf(ENDED - 10) },
    nowMs: () => timeOf(ENDED - 5),
  });
  await following.upTo(BigInt(ENDED - 6), nodes);
  hangs = true;
  const far = following.upTo(1_000_000n, nodes);
  expect((await following.upTo(BigInt(ENDED - 8), nodes)).newestEpoch).toBe(BigInt(ENDED - 6));
  hanging.reject(new Error('it never came'));
  await expect(far).rejects.toThrow('it never came');
});
