import { createHash } from 'node:crypto';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import { Lifetime, silentLog } from '#base';
import { FakeClock } from '#testing';
import { openAudit } from './audit.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { openRecords } from './gateway-parts.ts';
import { MOST_HOURS_AT_ONCE } from './heartbeat-hours.ts';
import { createTokenUsage, type TokenUsage } from './token-usage.ts';
import { aWorker } from './worker.fixture.ts';
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

describe('the hour of a cluster that is larger than what the audit file lets wait', () => {
  const nodes = 5_000 + MOST_HOURS_AT_ONCE;
  const use = {
    proof: 'seal_x',
    incarnation: 1,
    sequence: 1,
    address: '192.0.2.7',
    peer: '192.0.2.7',
    requestId: 'r',
    path: '/',
  };
  function hear(usage: TokenUsage): void {
    for (let count = 0; count < nodes; count += 1) usage.heard(aWorker({ nodeId: `worker-${count}` }), use);
  }
  const written = async (path: string) => {
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  };

  test('is written in slices, none of whose lines is dropped', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'usage-'));
    const path = join(directory.path, 'audit.jsonl');
    const clock = new FakeClock();
    const nowMs = () => clock.nowMs();
    await using audit = await openAudit(path, nowMs);
    const usage = createTokenUsage({ audit, nowMs, heartbeats: 'hourly' });
    hear(usage);
    expect(usage.flush()).toBe(false);
    await clock.advance(3_600_000, 600_000);
    while (usage.flush()) await audit.flush();
    await audit.flush();
    const lines = await written(path);
    expect(heartbeats(lines)).toHaveLength(nodes);
    expect(lines.map(({ event }) => event)).not.toContain('audit.dropped');
  });

  test('is written whole when the gateway stops', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'usage-'));
    const world = await World.create();
    const config: RunnableGatewayConfig = { ...world.config, stateDir: directory.path };
    const life = new Lifetime();
    const { clusterId } = world.chain;
    const { chain, kubernetes, clock } = world;
    const options = { config, clusterId, chain, follower: chain, kubernetes, clock, log: silentLog };
    hear((await openRecords(options, life)).usage);
    await life.close();
    await world[Symbol.asyncDispose]();
    const lines = await written(join(directory.path, 'audit.jsonl'));
    expect(heartbeats(lines)).toHaveLength(nodes);
    expect(lines.map(({ event }) => event)).not.toContain('audit.dropped');
  });
});
