import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Lifetime } from '#base';
import { docker } from '../../scripts/images/images.ts';
import { until } from '../world/kubernetes.ts';
import { imageNameIn, pod, podOn } from '../world/real-pods.ts';
import { ContainerWorld } from './container-world.ts';
import { type FoundK3s, findK3s } from './find-images.ts';
import { buildK3sWorkerImage } from './k3s-worker.ts';
import type { LoggedContainer } from './logged-container.ts';

const engine = inject('engine');
const k3s: FoundK3s = engine.kind === 'missing' ? engine : findK3s(docker(engine.host));
const archives = (process.env.K3S_DAAS_TEST_IMAGE_TAR ?? '').split(':').filter(Boolean);
const name =
  k3s.kind === 'missing'
    ? k3s.reason
    : { binary: 'server and agents by K3S_BIN', image: 'the server of its image; the agents are stand-ins' }[
        k3s.program.kind
      ];

describe.skipIf(k3s.kind === 'missing')(`a real k3s in containers (${name})`, () => {
  const life = new Lifetime();
  let world: ContainerWorld;
  let worker: LoggedContainer;
  const hasRealAgents = k3s.kind === 'found' && k3s.program.kind === 'binary';

  beforeAll(async () => {
    if (engine.kind === 'missing' || k3s.kind === 'missing') return;
    process.env.DOCKER_HOST = engine.host;
    const { program } = k3s;
    const agent = program.kind === 'binary' && {
      binary: program.path,
      image: buildK3sWorkerImage(docker(engine.host), { base: program.base, worker: engine.images.worker }),
      archives,
    };
    world = await ContainerWorld.start(engine.images, life, {
      api: { kind: 'k3s', program },
      agent: agent || undefined,
    });
  }, 300_000);
  afterAll(() => life.close(), 60_000);

  test('a worker stakes, joins and is Ready', async () => {
    worker = await world.worker('worker-1');
    await worker.event('agent.ready');
    await world.becomes('worker-1', true);
    await worker.event('heartbeat.acknowledged', { from: worker.lines.length });
    const { body } = await world.kubernetes.get('/api/v1/nodes/worker-1');
    expect(body.spec.taints).toContainEqual(expect.objectContaining({ key: 'k3s-daas.io/staked' }));
    process.stderr.write(`${JSON.stringify(body.status.nodeInfo)}\n`);
    if (hasRealAgents) expect(body.status.nodeInfo.containerRuntimeVersion).toContain('containerd://');
  });

  test.skipIf(!hasRealAgents || archives.length === 0)(
    'its pods run (K3S_BIN, K3S_DAAS_TEST_IMAGE_TAR)',
    async () => {
      const image = await imageNameIn(archives[0] ?? '');
      const manifest = podOn('worker-1', 'on-worker-1', image);
      const { status } = await world.kubernetes.send('POST', '/api/v1/namespaces/default/pods', manifest);
      expect(status).toBe(201);
      await until('the pod to run', async () =>
        (await pod(world.kubernetes, 'on-worker-1'))?.status?.phase === 'Running' ? true : undefined,
      );
    },
  );

  test('a slash ends it with 77, and its Node is gone', async () => {
    await world.slash('worker-1');
    expect(await worker.exitCode()).toBe(77);
    await world.becomes('worker-1', undefined);
  });
});
