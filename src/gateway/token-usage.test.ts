import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import { World } from './world.fixture.ts';

const heartbeats = (lines: ReadonlyArray<Record<string, unknown>>) =>
  lines.filter(({ event }) => event === 'token.heartbeats');
const uses = (lines: ReadonlyArray<Record<string, unknown>>) =>
  lines.filter(({ event, path }) => event === 'token.used' && path === PATHS.heartbeat);

describe('heartbeats', () => {
  test('leave one line a node and hour, whose hash is over the proofs as they came', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const proofs: string[] = [];
    const { signer } = worker;
    const sign = signer.sign.bind(signer);
    signer.sign = async (request) => {
      const proof = await sign(request);
      if (request.path === PATHS.heartbeat) proofs.push(proof);
      return proof;
    };
    // The first one was sent when it joined: the hour before is over.
    await world.clock.advance(3_600_000, 600_000);
    for (let count = 0; count < 5; count += 1) await worker.heartbeat();
    expect(uses(await world.audit())).toEqual([]);
    await world.clock.advance(3_600_000, 600_000);
    const [first, second, ...more] = heartbeats(await world.audit());
    expect(first).toMatchObject({ node_id: 'worker-1', count: 1, first_sequence: 1, last_sequence: 1 });
    expect(second).toMatchObject({
      node_id: 'worker-1',
      seal_token: worker.tokenId,
      incarnation: 1,
      count: 5,
      first_sequence: 2,
      last_sequence: 6,
      addresses: '127.0.0.1',
      proofs_sha256: createHash('sha256')
        .update(proofs.map((proof) => `${proof}\n`).join(''))
        .digest('hex'),
    });
    expect(more).toEqual([]);
  });

  test('are each a line with audit.heartbeats: full', async () => {
    await using world = await World.start({ audit: { heartbeats: 'full' } });
    const worker = await world.member('worker-1');
    for (let count = 0; count < 3; count += 1) await worker.heartbeat();
    const lines = await world.audit();
    expect(uses(lines).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
    await world.stopGateway();
    expect(heartbeats(await world.audit())).toEqual([]);
  });

  test('of an hour that is not over are written when the gateway stops, and when the node registers anew', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await worker.register();
    await worker.heartbeat();
    await world.stopGateway();
    expect(heartbeats(await world.audit())).toMatchObject([
      { incarnation: 1, count: 1 },
      { incarnation: 2, count: 1 },
    ]);
  });
});
