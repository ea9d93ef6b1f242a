import { mkdtemp, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import {
  documented,
  freeName,
  giveNameBack,
  makeRelease,
  name,
  plainAgain,
  startPlainAgent,
  unit,
  writeWorkerConfiguration,
} from './install/scene.ts';
import { noSystemd, SystemdMachine } from './install/systemd-machine.ts';
import { until } from './world/kubernetes.ts';
import { type RealK3s, startRealK3s } from './world/real-k3s.ts';
import { imageNameIn, pod, podOn, podProcessesOf } from './world/real-pods.ts';
import { World } from './world/world.ts';

/**
 * Plain `k3s agent` of a real k3s under a real systemd, taken over by the lines of docs/install.md and brought back by one
 * command: its containers run from the first to the last step (K3S_BIN, K3S_DAAS_TEST_IMAGE_TAR).
 */
const binary = process.env.K3S_BIN ?? '';
const images = (process.env.K3S_DAAS_TEST_IMAGE_TAR ?? '').split(':').filter(Boolean);
const missing = [
  ...(binary === '' ? ['K3S_BIN'] : []),
  ...(images.length === 0 ? ['K3S_DAAS_TEST_IMAGE_TAR'] : []),
  ...(noSystemd === undefined ? [] : [noSystemd]),
];

describe.skipIf(missing.length > 0)(
  `a plain agent of a real k3s under a real systemd (${missing.join(', ') || 'it is'})`,
  { timeout: 300_000 },
  () => {
    const life = new Lifetime();
    let world: World;
    let k3s: RealK3s;
    let machine: SystemdMachine;
    let directory: string;
    let before: Readonly<Record<string, string>>;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'k3s-daas-takeover-'));
      life.defer('directory', () => rm(directory, { recursive: true, force: true }));
      await makeRelease(directory);
      const start = startRealK3s(binary, { images });
      world = await World.start({
        startK3s: async (home, ending) => {
          k3s = await start(home, ending);
          return k3s;
        },
      });
      life.defer('the world', () => world.close());
      await k3s.machine(name, join(world.directory, name));
      const inside = k3s.realMachine(name);
      machine = await SystemdMachine.bootIn(inside, inside.scratch, [directory]);
      life.defer('systemd', () => machine[Symbol.asyncDispose]());
      await machine.run('ln', '-s', binary, '/usr/local/bin/k3s');
    }, 600_000);
    afterAll(() => life.close(), 120_000);

    /** The page's lines, in the directory of the release. */
    const follow = (words: RegExp, more = '') =>
      machine.run('sh', '-ec', `cd ${directory}; ${documented(words)}${more}`);
    const ready = () =>
      world.nodeReady(name, 120_000).catch(async (error: unknown) => {
        throw new Error(`${await machine.journal(unit)}\n${world.gateway.tail(25)}`, { cause: error });
      });

    /** What would show a container that was started anew: its processes with their start times, and what the kubelet says of it. */
    async function running() {
      const found = await until('the kubelet to report the pod', async () => {
        const { status } = (await pod(world.kubernetes, 'survivor')) ?? {};
        const [container] = status?.containerStatuses ?? [];
        return container?.state?.running ? { container } : undefined;
      });
      const mountNamespace = await readlink(`/proc/${machine.pid}/ns/mnt`);
      const processes = await podProcessesOf({ mountNamespace });
      const { containerID, restartCount, state } = found.container;
      return { processes, containerID, restartCount, startedAt: state.running.startedAt };
    }
    let pods: Awaited<ReturnType<typeof running>>;

    test('it runs a pod', async () => {
      before = await startPlainAgent(machine, world, {
        flags: [`--node-ip=${k3s.realMachine(name).address}`],
      });
      const image = await imageNameIn(images[0] ?? '');
      const created = await world.kubernetes.send(
        'POST',
        '/api/v1/namespaces/default/pods',
        podOn(name, 'survivor', image),
      );
      expect(created.status).toBe(201);
      pods = await running();
      // Shim, sandbox and container.
      expect(pods.restartCount).toBe(0);
      expect(pods.processes).toHaveLength(3);
    });

    test('taken over it is a staked Node, and the containers run on', async () => {
      await writeWorkerConfiguration(machine, world);
      // Everything that takes long is done before the Node goes: Kubernetes keeps the pods of a deleted Node for 40 seconds.
      const looked = await follow(/install\.sh --dry-run/);
      expect(looked.exitCode, looked.output).toBe(0);
      await freeName(world);
      const installed = await follow(/sh install\.sh$/);
      expect(installed.exitCode, `${installed.output}\n${await machine.journal(unit)}`).toBe(0);
      await ready();
      expect(await machine.unit(unit, 'ActiveState')).toBe('active');
      expect(await machine.unit(unit, 'ExecStart')).toContain('k3s-daas agent');
      const { body } = await world.kubernetes.get(`/api/v1/nodes/${name}`);
      expect(body.spec.taints).toContainEqual(expect.objectContaining({ key: 'k3s-daas.io/staked' }));
      expect(await running()).toEqual(pods);
    });

    test('a restart of the service leaves them alone', async () => {
      expect(await machine.run('systemctl', 'restart', unit)).toMatchObject({ exitCode: 0 });
      await ready();
      expect(await running()).toEqual(pods);
    });

    test('one command brings plain k3s back, byte for byte, with the same containers', async () => {
      const hostPid = await machine.unit(unit, 'MainPID');
      const restoring = follow(/uninstall --restore-k3s/, ' --yes');
      await plainAgain(machine, hostPid);
      await giveNameBack(world);
      const restored = await restoring;
      expect(restored.exitCode, `${restored.output}\n${await machine.journal(unit)}`).toBe(0);
      await ready();
      const { body } = await world.kubernetes.get(`/api/v1/nodes/${name}`);
      expect(body.spec.taints ?? []).not.toContainEqual(
        expect.objectContaining({ key: 'k3s-daas.io/staked' }),
      );
      for (const [path, text] of Object.entries(before))
        expect([path, await machine.read(path)]).toEqual([path, text]);
      expect(await running()).toEqual(pods);
    });
  },
);
