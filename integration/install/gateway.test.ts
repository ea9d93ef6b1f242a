import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { freePort } from '../world/free-port.ts';
import { until } from '../world/kubernetes.ts';
import { World } from '../world/world.ts';
import { documented, makeRelease } from './scene.ts';
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
      await moveGateway(health);
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

    /** Configuration, keys and kubeconfig to where an operator has them; what is none of the gateway's lies beside its CA. */
    async function moveGateway(healthPort: number): Promise<void> {
      const settings = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8')) as {
        chain: Record<string, unknown>;
        gateway: { tls: { certFile: string; keyFile: string }; kubeconfig: string } & Record<string, unknown>;
      };
      const { gateway } = settings;
      const etc = '/etc/k3s-daas';
      const ca = '/var/lib/rancher/k3s/server/tls/server-ca.crt';
      const kubeconfig = '/var/lib/k3s-daas-gateway/kubeconfig';
      const copy = async (from: string, to: string, mode: string) =>
        machine.write(to, await readFile(from, 'utf8'), mode);
      await copy(world.deploymentFile, `${etc}/deployment.json`, '0644');
      await copy(gateway.tls.certFile, `${etc}/gateway.crt`, '0644');
      await copy(gateway.tls.keyFile, `${etc}/gateway.key`, '0600');
      await copy(gateway.kubeconfig, kubeconfig, '0600');
      await copy(world.k3s.serverCaFile, ca, '0644');
      await machine.write('/var/lib/rancher/k3s/server/cred/admin.kubeconfig', 'secret', '0600');
      await machine.write('/etc/rancher/k3s/k3s.yaml', 'secret', '0600');
      const { stateDir: _, ...rest } = gateway;
      const moved = {
        ...settings,
        chain: { ...settings.chain, deployment: `${etc}/deployment.json` },
        gateway: {
          ...rest,
          tls: { certFile: `${etc}/gateway.crt`, keyFile: `${etc}/gateway.key` },
          kubeconfig,
          serverCaFile: ca,
          health: { host: '127.0.0.1', port: healthPort },
        },
      };
      await machine.write(`${etc}/k3s-daas.json`, JSON.stringify(moved), '0600');
    }
  },
);
