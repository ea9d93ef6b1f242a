import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { freePort } from '../world/free-port.ts';
import { until } from '../world/kubernetes.ts';
import { World } from '../world/world.ts';
import { documented, makeRelease, moveGateway } from './scene.ts';
import { noSystemd, SystemdMachine } from './systemd-machine.ts';

const unit = 'k3s-daas-gateway';

/** The gateway of a world goes on as a service of a machine with a real systemd, in its hardened unit. */
describe.skipIf(noSystemd !== undefined)(
  `a gateway under a real systemd (${noSystemd ?? 'it is'})`,
  { timeout: 240_000 },
  () => {
    const life = new Lifetime();
    let world: World;
    let machine: SystemdMachine;
    let directory: string;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'k3s-daas-install-'));
      life.defer('directory', () => rm(directory, { recursive: true, force: true }));
      [world] = await Promise.all([World.start(), makeRelease(directory)]);
      life.defer('the world', () => world.close());
      machine = await SystemdMachine.boot([directory]);
      life.defer('the machine', () => machine[Symbol.asyncDispose]());
    }, 240_000);
    afterAll(() => life.close(), 120_000);

    test('it is installed, admits a worker, and can do little else', async () => {
      await world.gateway.stop();
      const health = await freePort();
      await moveGateway(machine, world, health);
      const installed = await machine.run('sh', '-ec', `cd ${directory}; ${documented(/--gateway/)}`);
      expect(installed.exitCode, installed.output).toBe(0);
      await until('the gateway to be ready', async () => {
        const { status } = await fetch(`http://127.0.0.1:${health}/readyz`);
        return status === 200 ? true : undefined;
      }).catch(async (error: unknown) => {
        throw new Error(await machine.journal(unit), { cause: error });
      });

      const worker = await world.worker('worker-2');
      const host = worker.start();
      await world.nodeReady('worker-2');
      await host.event('heartbeat.acknowledged');

      const pid = await machine.unit(unit, 'MainPID');
      const status = await machine.read(`/proc/${pid}/status`);
      expect(status).toMatch(/^CapEff:\s+0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
      expect(status).toMatch(/^Seccomp:\s+2$/m);
      const seen = (path: string) => machine.run('ls', '-A', `/proc/${pid}/root${path}`);
      expect((await seen('/var/lib/rancher/k3s/server')).output).toBe('tls\n');
      expect((await seen('/var/lib/rancher/k3s/server/tls')).output).toBe('server-ca.crt\n');
      expect((await seen('/etc/rancher')).output).toBe('');
      const { output } = await machine.run('systemd-analyze', 'security', '--no-pager', unit);
      expect(Number(/exposure level for \S+ (\d+\.\d)/.exec(output)?.[1])).toBeLessThan(2.5);
    });

    test('it keeps its state over a restart, and is uninstalled without it', async () => {
      await machine.run('systemctl', 'restart', unit);
      await until('the operator’s socket', async () => {
        const { exitCode, output } = await machine.run('/usr/local/bin/k3s-daas', 'gateway', 'nodes');
        return exitCode === 0 && output.includes('worker-2') ? true : undefined;
      });
      const removed = await machine.run('/usr/local/bin/k3s-daas', 'uninstall', '--gateway', '--yes');
      expect(removed.exitCode, removed.output).toBe(0);
      expect(await machine.unit(unit, 'LoadState')).toBe('not-found');
      expect((await machine.run('ls', '/var/lib/k3s-daas-gateway')).output).toContain('gateway.db');
    });
  },
);
