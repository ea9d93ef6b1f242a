import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { bareRootWithSystemd } from '../../scripts/release/bare-root.ts';
import { freePort } from '../world/free-port.ts';
import { until } from '../world/kubernetes.ts';
import type { Outcome } from '../world/outcome.ts';
import { projectRoot } from '../world/program.ts';
import { World } from '../world/world.ts';
import { ReleaseMirror } from './release-mirror.ts';
import { documented, makeRelease, moveGateway, name, writeWorkerConfiguration } from './scene.ts';
import { problemOf, SystemdMachine } from './systemd-machine.ts';

/**
 * The blocks of the README's section "Install", as they stand there, on two machines booted from a bare Debian: no Node, no npm, no
 * clone, no curl. They resolve no name: releases come from a mirror on loopback, Debian's packages from apt's archives. What stands for
 * the reader's own: the address of the releases, and an answer of yes.
 */
const page = 'README.md';
const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as {
  version: string;
};

describe('the installation section of the README, in a bare Debian', { timeout: 900_000 }, () => {
  const life = new Lifetime();
  let missing: string | undefined;
  let world: World;
  let mirror: ReleaseMirror;
  let gateway: SystemdMachine;
  let worker: SystemdMachine;

  beforeAll(async () => {
    const bare = bareRootWithSystemd();
    missing = 'missing' in bare ? bare.missing : problemOf(bare.directory);
    if (missing !== undefined || 'missing' in bare) return;
    const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-readme-'));
    life.defer('directory', () => rm(directory, { recursive: true, force: true }));
    const [release, served] = [join(directory, 'made'), join(directory, 'served')];
    await mkdir(release);
    [world] = await Promise.all([World.start(), makeRelease(release)]);
    life.defer('the world', () => world.close());
    await mkdir(served);
    const parts = { recursive: true, filter: (path: string) => !/\/(?:dist|dev-chain)$/.test(path) };
    await cp(release, join(served, `v${version}`), parts);
    mirror = life.use('the mirror', await ReleaseMirror.of(served, join(directory, 'keys')));
    for (const boot of ['gateway', 'worker'] as const) {
      const machine = life.use(boot, await SystemdMachine.boot([], bare.directory));
      await machine.write('/usr/local/share/ca-certificates/mirror.crt', mirror.ca);
      if (boot === 'gateway') gateway = machine;
      else worker = machine;
    }
  }, 1_500_000);
  afterAll(() => life.close(), 120_000);

  /** The page's block, in the home directory of root. */
  const follow = (machine: SystemdMachine, words: RegExp): Promise<Outcome> => {
    const block = documented(words, page)
      .replaceAll('https://RELEASES', mirror.url)
      .replaceAll(/^(k3s-daas install(?! --dry-run).*)$/gm, '$1 --yes');
    const env = { DEBIAN_FRONTEND: 'noninteractive', K3S_STANDIN_SPEED: '10', K3S_STANDIN_PODS: '2' };
    return machine.runWith(env, 'bash', '-ec', `cd /root; ${block}`);
  };

  test('the program comes from a release whose checksum fits', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    for (const machine of [gateway, worker]) {
      expect((await machine.run('sh', '-c', 'command -v node npm curl git k3s-daas')).output).toBe('');
      const { exitCode, output } = await follow(machine, /install\.sh --program-only/);
      expect(exitCode, output).toBe(0);
      expect(output).toContain('has the expected SHA-256');
      expect(output).toContain(`/usr/local/bin/k3s-daas is ${version}`);
      // The last line of the block: what it prints to support.
      expect(output).toMatch(new RegExp(`^version +${version}$`, 'm'));
      expect((await machine.run('systemctl', 'list-unit-files', 'k3s*')).output).toContain('0 unit files');
    }
    expect(mirror.served).toContain(`/v${version}/install.sh`);
  });

  test('a gateway is installed beside its server', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    await world.gateway.stop();
    const health = await freePort();
    await moveGateway(gateway, world, health);
    const { exitCode, output } = await follow(gateway, /^k3s-daas install --gateway$/m);
    expect(exitCode, `${output}\n${await gateway.journal('k3s-daas-gateway')}`).toBe(0);
    await until('the gateway to be ready', async () => {
      const { status } = await fetch(`http://127.0.0.1:${health}/readyz`);
      return status === 200 ? true : undefined;
    });
    expect(await gateway.unit('k3s-daas-gateway', 'ActiveState')).toBe('active');
  });

  test('a worker is installed, and joins by its stake', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const k3s = join(projectRoot, 'integration/standin/agent/k3s');
    await worker.run('ln', '-s', k3s, '/usr/local/bin/k3s');
    await writeWorkerConfiguration(worker, world, {
      // One network for all machines of the test.
      agent: {
        args: [`--lb-server-port=${await freePort()}`, `--kubelet-arg=healthz-port=${await freePort()}`],
      },
    });
    const { exitCode, output } = await follow(worker, /^k3s-daas install$/m);
    expect(exitCode, `${output}\n${await worker.journal('k3s-agent')}`).toBe(0);
    expect(output).toContain('Nothing was changed: this was a dry run.');
    await world.nodeReady(name);
    expect(await worker.unit('k3s-agent', 'ActiveState')).toBe('active');
    const listed = await gateway.run('/usr/local/bin/k3s-daas', 'gateway', 'nodes');
    expect(listed.output).toContain(name);
  });
});
