import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Lifetime } from '#base';
import { docker } from '../../scripts/images/images.ts';
import { ContainerWorld } from './container-world.ts';
import type { LoggedContainer } from './logged-container.ts';

const engine = inject('engine');
const name = engine.kind === 'found' ? 'the images are real, k3s is a stand-in' : engine.reason;

describe.skipIf(engine.kind === 'missing')(`in containers on a Docker network (${name})`, () => {
  const life = new Lifetime();
  let world: ContainerWorld;
  let first: LoggedContainer;
  let second: LoggedContainer;

  beforeAll(async () => {
    if (engine.kind === 'missing') return;
    process.env.DOCKER_HOST = engine.host;
    world = await ContainerWorld.start(engine.images, life);
  }, 180_000);
  afterAll(() => life.close(), 60_000);

  /** Its host goes on: heartbeats of now are acknowledged, by the agent that it started first. */
  const goesOn = async (worker: LoggedContainer) => {
    await worker.event('heartbeat.acknowledged', { from: worker.lines.length });
    expect(worker.count('agent.started')).toBe(1);
  };

  test('two workers stake, join and are Ready', async () => {
    [first, second] = await Promise.all([world.worker('worker-1'), world.worker('worker-2')]);
    await Promise.all([first.event('heartbeat.acknowledged'), second.event('heartbeat.acknowledged')]);
    await Promise.all([world.becomes('worker-1', true), world.becomes('worker-2', true)]);
  });

  test('a gateway that is killed is replaced by another container on its state', async () => {
    await world.gateway.remove();
    await first.event('heartbeat.failed', { from: first.lines.length });
    await world.startGateway(engine.kind === 'found' ? engine.images.gateway : '');
    await Promise.all([goesOn(first), goesOn(second)]);
    expect(await world.isReady('worker-1')).toBe(true);
  });

  test('a gateway is upgraded to another image while a worker joins', async () => {
    if (engine.kind === 'missing') return;
    const { run } = docker(engine.host);
    const next = 'k3s-daas-gateway:next';
    run('tag', engine.images.gateway, next);
    const joining = world.worker('worker-3');
    await world.gateway.stop(15_000);
    await world.startGateway(next);
    await (await joining).event('heartbeat.acknowledged');
    await world.becomes('worker-3', true);
    await Promise.all([goesOn(first), goesOn(second)]);
    run('rmi', next);
  });

  test('a worker that is cut off keeps its agent, and its heartbeats go on when the network is back', async () => {
    const id = world.network.getId();
    await first.connect(id, false);
    await first.event('heartbeat.failed', { from: first.lines.length });
    await first.connect(id, true);
    await goesOn(first);
    await world.becomes('worker-1', true);
  });

  test('a worker that is removed without goodbye is no longer Ready, and the others never notice', async () => {
    await second.remove();
    await world.becomes('worker-2', false);
    await goesOn(first);
  });

  test('a slashed worker ends with 77, and its Node is gone', async () => {
    await world.slash('worker-1');
    expect(await first.exitCode()).toBe(77);
    await world.becomes('worker-1', undefined);
  });
});
