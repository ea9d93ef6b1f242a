import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Lifetime } from '#base';
import { docker } from '../../scripts/images/images.ts';
import { ContainerWorld } from './container-world.ts';
import { findSui } from './find-images.ts';

const engine = inject('engine');
const sui = engine.kind === 'missing' ? engine : findSui(docker(engine.host));
const name = sui.kind === 'missing' ? sui.reason : `${sui.image}; all of k3s is a stand-in`;

describe.skipIf(sui.kind === 'missing')(`on a local network of Sui in a container (${name})`, () => {
  const life = new Lifetime();
  let world: ContainerWorld;

  beforeAll(async () => {
    if (engine.kind === 'missing' || sui.kind === 'missing') return;
    process.env.DOCKER_HOST = engine.host;
    world = await ContainerWorld.start(engine.images, life, { api: { kind: 'standin' }, sui: sui.image });
  }, 300_000);
  afterAll(() => life.close(), 60_000);

  test('a worker stakes, joins, and ends with 77 after a slash', async () => {
    const worker = await world.worker('worker-1');
    await worker.event('heartbeat.acknowledged');
    await world.becomes('worker-1', true);
    await world.slash('worker-1');
    expect(await worker.exitCode()).toBe(77);
    await world.becomes('worker-1', undefined);
  });
});
