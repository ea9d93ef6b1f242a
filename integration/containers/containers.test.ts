import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Lifetime } from '#base';
import { docker } from '../../scripts/images/images.ts';
import { until } from '../world/kubernetes.ts';
import { ContainerWorld } from './container-world.ts';
import { noCuts } from './cut.ts';
import type { LoggedContainer } from './logged-container.ts';

const engine = inject('engine');
const API = {
  standin: 'all of k3s is a stand-in',
  kube: 'the API server is a real kube-apiserver with etcd, k3s’ supervisor and agents are stand-ins',
};
const cuts = noCuts ?? 'nft';
const name = engine.kind === 'found' ? `real images; ${API[engine.api.kind]}` : engine.reason;

describe.skipIf(engine.kind === 'missing')(`in containers on a Docker network (${name})`, () => {
  const life = new Lifetime();
  let world: ContainerWorld;
  let first: LoggedContainer;
  let second: LoggedContainer;
  let third: LoggedContainer;

  beforeAll(async () => {
    if (engine.kind === 'missing') return;
    process.env.DOCKER_HOST = engine.host;
    world = await ContainerWorld.start(engine.images, life, { api: engine.api });
  }, 300_000);
  afterAll(() => life.close(), 60_000);

  /** Its host goes on: heartbeats of now are acknowledged, by the agent that it started first. */
  const goesOn = async (worker: LoggedContainer) => {
    await worker.event('heartbeat.acknowledged', { from: worker.lines.length });
    expect(worker.count('agent.started')).toBe(1);
  };

  test('the image of the gateway says version, commit, packages and the tested k3s', () => {
    if (engine.kind === 'missing') return;
    const home = '/usr/lib/k3s-daas';
    const program = [`${home}/dist/k3s-daas.js`, 'version', '--json'];
    const { run } = docker(engine.host);
    const said = run('run', '--rm', '--entrypoint', `${home}/node`, engine.images.gateway, ...program);
    expect(Object.keys(JSON.parse(said) as object)).toEqual(
      expect.arrayContaining(['version', 'commit', 'packages', 'k3sTested']),
    );
  });

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
    third = await joining;
    await third.event('heartbeat.acknowledged');
    await world.becomes('worker-3', true);
    await Promise.all([goesOn(first), goesOn(second)]);
    run('rmi', next);
  });

  // Three workers lose something at once: what takes time is the time-out of a request.
  test('a worker that is cut off keeps its agent, and its heartbeats go on when the network is back', {
    concurrent: true,
  }, async () => {
    const id = world.network.getId();
    await first.connect(id, false);
    await first.event('heartbeat.failed', { from: first.lines.length });
    await first.connect(id, true);
    await goesOn(first);
    await world.becomes('worker-1', true);
  });

  test(`every packet between worker and gateway is dropped (${cuts}): agent and Node go on, and so do the heartbeats afterwards`, {
    concurrent: true,
    skip: noCuts !== undefined,
  }, async () => {
    await world.whileCut(second, world.gateway, async () => {
      await second.event('heartbeat.failed', { from: second.lines.length });
      expect(await world.isReady('worker-2')).toBe(true);
      // The others are none of it.
      await goesOn(third);
    });
    await goesOn(second);
  });

  test(`every packet between worker and API server is dropped (${cuts}): the Node is not Ready, the gateway keeps its member, and afterwards the same agent is Ready`, {
    concurrent: true,
    skip: noCuts !== undefined,
  }, async () => {
    await world.whileCut(third, world.server, async () => {
      await world.becomes('worker-3', false);
      await goesOn(third);
    });
    await world.becomes('worker-3', true);
    await goesOn(third);
  });

  describe.skipIf(noCuts !== undefined)(`every packet between two parts is dropped (${cuts})`, () => {
    test('gateway and API server: heartbeats are answered, and what was slashed meanwhile is removed afterwards', async () => {
      await world.whileCut(world.gateway, world.server, async () => {
        await world.slash('worker-3');
        // Its host looks at the chain by itself.
        expect(await third.exitCode()).toBe(77);
        await goesOn(first);
      });
      await world.becomes('worker-3', undefined);
      await world.becomes('worker-1', true);
    });

    test('gateway and chain: members go on, whoever is new waits, and is admitted afterwards', async () => {
      const arriving = await world.whileCut(world.gateway, world.chain, async () => {
        const worker = await world.worker('worker-4');
        await until('the gateway to say that it does not hear the chain', async () =>
          (await world.failingChecks()).includes('chain') ? true : undefined,
        );
        await worker.event('registration.failed');
        await Promise.all([goesOn(first), goesOn(second)]);
        expect(await world.isReady('worker-4')).toBeUndefined();
        return worker;
      });
      await arriving.event('heartbeat.acknowledged');
      await world.becomes('worker-4', true);
      expect(await world.failingChecks()).toEqual([]);
      await arriving.remove();
      // Its Node is looked at below: the node controller takes its time.
    });

    test('worker and chain: its Node is removed by the gateway, and its host ends when it has read the slash itself', async () => {
      await world.whileCut(second, world.chain, async () => {
        await world.slash('worker-2');
        await world.becomes('worker-2', undefined);
        // A gateway's word alone ends no host: it could lie.
        expect(await second.isRunning()).toBe(true);
      });
      expect(await second.exitCode()).toBe(77);
      await goesOn(first);
    });
  });

  test('a worker that is removed without goodbye is no longer Ready, and the others never notice', async () => {
    if (noCuts !== undefined) await second.remove();
    await world.becomes(noCuts === undefined ? 'worker-4' : 'worker-2', false);
    await goesOn(first);
  });

  test('a slashed worker ends with 77, and its Node is gone', async () => {
    await world.slash('worker-1');
    expect(await first.exitCode()).toBe(77);
    await world.becomes('worker-1', undefined);
  });
});
