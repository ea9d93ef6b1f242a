import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { until } from '../world/kubernetes.ts';
import type { Outcome } from '../world/outcome.ts';
import { projectRoot } from '../world/program.ts';
import { World } from '../world/world.ts';
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
} from './scene.ts';
import { noSystemd, SystemdMachine } from './systemd-machine.ts';

/**
 * The lines of docs/install.md on a machine with a real systemd, without Node or npm: a release, install.sh, and a plain k3s
 * agent (the stand-in) that is taken over and brought back. Its pods are watched from the first to the last step.
 */
describe.skipIf(noSystemd !== undefined)(
  `on a machine with a real systemd (${noSystemd ?? 'it is'})`,
  { timeout: 240_000 },
  () => {
    const life = new Lifetime();
    let world: World;
    let machine: SystemdMachine;
    let directory: string;
    let before: Readonly<Record<string, string>>;
    let pods: readonly number[];
    let walletFile: string;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'k3s-daas-install-'));
      life.defer('directory', () => rm(directory, { recursive: true, force: true }));
      [world] = await Promise.all([World.start(), makeRelease(directory)]);
      life.defer('the world', () => world.close());
      machine = await SystemdMachine.boot([directory]);
      life.defer('the machine', () => machine[Symbol.asyncDispose]());
      await machine.run('ln', '-s', join(projectRoot, 'integration/standin/agent/k3s'), '/usr/local/bin/k3s');
    }, 240_000);
    afterAll(() => life.close(), 120_000);

    /** The page's lines, in the directory of the release. */
    const follow = (words: RegExp, more = '') =>
      machine.run('sh', '-ec', `cd ${directory}; ${documented(words)}${more}`);
    const installed = () => follow(/sh install\.sh$/);
    const daas = (...args: string[]) => machine.run('/usr/local/bin/k3s-daas', ...args);
    const expectOk = async ({ exitCode, output }: Outcome) =>
      expect(exitCode, `${output}\n${exitCode === 0 ? '' : await machine.journal(unit)}`).toBe(0);
    const expectAsBefore = async () => {
      for (const [path, text] of Object.entries(before))
        expect([path, await machine.read(path)]).toEqual([path, text]);
    };

    test('install.sh refuses a release whose SHA-256 is another, and a dry run changes nothing', async () => {
      const wrong = await machine.run(
        'sh',
        '-ec',
        `cd ${directory}; INSTALL_K3S_DAAS_SHA256=${'0'.repeat(64)} ${documented(/sh install\.sh$/)}`,
      );
      expect(wrong).toMatchObject({ exitCode: 1, output: expect.stringContaining('expected 0000') });
      walletFile = await writeWorkerConfiguration(machine, world);
      const looked = await follow(/install\.sh --dry-run/);
      await expectOk(looked);
      expect(looked.output).toContain('write /etc/systemd/system/k3s-agent.service (0644)');
      expect(looked.output).toContain('ExecStart=/usr/local/bin/k3s-daas agent\n');
      expect(looked.output).toContain('Nothing was changed: this was a dry run.');
      expect(
        (await machine.run('ls', '/usr/local/lib/k3s-daas', '/usr/local/bin/k3s-daas')).exitCode,
      ).not.toBe(0);
    });

    test('a plain k3s agent runs, and a failed take-over leaves it as it was', async () => {
      before = await startPlainAgent(machine, world);
      pods = await machine.shims();
      expect(pods).toHaveLength(2);
      // The name is the operator's, who has not freed it: the gateway refuses the node.
      const refused = await installed();
      expect(refused.output).toContain('DAAS_INSTALL_ROLLED_BACK');
      expect(refused.exitCode).toBe(1);
      expect(await machine.unit(unit, 'ActiveState'), await machine.journal(unit)).toBe('active');
      await expectAsBefore();
      expect(await machine.shims()).toEqual(pods);
    });

    test('freed by the operator, the agent is taken over: a staked Node, the same pods', async () => {
      await freeName(world);
      await expectOk(await installed());
      expect(await machine.unit(unit, 'ActiveState')).toBe('active');
      expect(await machine.unit(unit, 'ExecStart')).toContain('k3s-daas agent --lb-server-port');
      await world.nodeReady(name);
      const { body } = await world.kubernetes.get(`/api/v1/nodes/${name}`);
      expect(body.spec.taints).toContainEqual(expect.objectContaining({ key: 'k3s-daas.io/staked' }));
      expect(await machine.shims()).toEqual(pods);
      const variables = '/etc/systemd/system/k3s-agent.service.env';
      expect(await machine.read(variables)).not.toContain('K3S_TOKEN');
      expect((await machine.run('stat', '-c', '%a', variables)).output).toBe('600\n');
      expect(await machine.read('/usr/local/share/man/man1/k3s-daas.1')).toContain('.SS k3s\\-daas install');
      const completed = await machine.run(
        'bash',
        '-c',
        '. /usr/local/share/bash-completion/completions/k3s-daas; COMP_WORDS=(k3s-daas token ro); COMP_CWORD=2; _k3s_daas; echo $COMPREPLY',
      );
      expect(completed.output).toBe('rotate\n');
      // Again, it finds everything in place: no restart.
      const pid = await machine.unit(unit, 'MainPID');
      const lock = '/var/lib/k3s-daas-install/lock';
      const startTicks = Number((await machine.run('awk', '{ print $22 }', '/proc/1/stat')).output);
      const bootId = (await machine.read('/proc/sys/kernel/random/boot_id')).trim();
      await machine.write(lock, JSON.stringify({ pid: 1, startTicks, bootId }), '0600');
      const second = await installed();
      expect(second).toMatchObject({ exitCode: 75, output: expect.stringContaining('DAAS_LOCK_HELD') });
      await machine.run('rm', lock);
      expect((await installed()).output).toContain('Everything is in place.');
      expect(await machine.unit(unit, 'MainPID')).toBe(pid);
    });

    test('the doctor finds nothing that needs action but what this machine is', async () => {
      const { output } = await daas('doctor', '--json');
      const { findings } = JSON.parse(output) as { findings: Array<{ id: string; state: string }> };
      const states = Object.fromEntries(findings.map(({ id, state }) => [id, state]));
      const own = ['cgroups', 'kernel', 'disk', 'trust-pin', 'ports'];
      for (const id of Object.keys(states).filter((one) => !own.includes(one)))
        expect([id, states[id]], output).toEqual([id, 'good']);
      expect((await follow(/^k3s-daas doctor$/)).output).toContain('k3s-agent runs');
    });

    test('a restart of the service and a killed host leave the pods alone', async () => {
      await expectOk(await machine.run('systemctl', 'restart', unit));
      expect(await machine.shims()).toEqual(pods);
      const pid = await machine.unit(unit, 'MainPID');
      await machine.run('kill', '-KILL', pid);
      await until('systemd to start another host', async () => {
        const [now, state] = [await machine.unit(unit, 'MainPID'), await machine.unit(unit, 'ActiveState')];
        return now !== pid && now !== '0' && state === 'active' ? true : undefined;
      });
      await world.nodeReady(name);
      expect(await machine.shims()).toEqual(pods);
    });

    test('a sealed key: systemd opens it for the unit, and the original may go', async () => {
      await expectOk(await daas('install', '--keys', 'encrypted', '--yes'));
      await machine.run('rm', '/etc/k3s-daas/wallet.key');
      await expectOk(await machine.run('systemctl', 'restart', unit));
      const pid = await machine.unit(unit, 'MainPID');
      expect(await machine.read(`/proc/${pid}/environ`)).toContain(
        'K3S_DAAS_WALLET_KEY_FILE=/run/credentials/k3s-agent.service/wallet.key',
      );
      expect(await machine.shims()).toEqual(pods);
      await machine.write('/etc/k3s-daas/wallet.key', await readFile(walletFile, 'utf8'), '0600');
      await expectOk(await daas('install', '--keys', 'file', '--yes'));
    });

    test('uninstall refuses while the stake is active, and one command brings plain k3s back', async () => {
      const refused = await follow(/^k3s-daas uninstall$/, ' --yes');
      expect(refused.exitCode).toBe(78);
      expect(refused.output).toContain('DAAS_INSTALL_STAKE_ACTIVE');
      expect(refused.output).toContain('k3s-daas unstake');
      const hostPid = await machine.unit(unit, 'MainPID');
      const restoring = follow(/uninstall --restore-k3s/, ' --yes');
      await plainAgain(machine, hostPid);
      await giveNameBack(world);
      await expectOk(await restoring);
      await until('its Node to be Ready', async () =>
        (await machine.unit(unit, 'ActiveState')) === 'active' ? true : undefined,
      );
      await world.nodeReady(name).catch(async (error: unknown) => {
        throw new Error(`${await machine.journal(unit)}\n${world.gateway.tail(25)}`, { cause: error });
      });
      await expectAsBefore();
      expect(await machine.shims()).toEqual(pods);
      expect((await machine.run('ls', '-A', '/var/lib/k3s-daas-install')).output).toBe('');
    });

    test('installed again and slashed, the service ends with 77 and systemd leaves it at that', async () => {
      await freeName(world);
      await expectOk(await installed());
      expect(await machine.shims()).toEqual(pods);
      const recordId = await world.chain.client.liveRecordOf(name);
      await world.slash(recordId ?? '', 2_000_000_000n, 'a test');
      await until('the unit to fail', async () =>
        (await machine.unit(unit, 'ActiveState')) === 'failed' ? true : undefined,
      ).catch(async (error: unknown) => {
        throw new Error(await machine.journal(unit), { cause: error });
      });
      expect(await machine.unit(unit, 'ExecMainStatus')).toBe('77');
      expect(await machine.shims()).toEqual([]);
      await expectOk(await daas('uninstall', '--yes'));
      const files = [
        '/etc/systemd/system/k3s-agent.service',
        '/etc/systemd/system/k3s-agent.service.env',
        '/usr/local/bin/k3s-daas',
        '/usr/local/lib/k3s-daas',
        '/usr/local/share/man/man1/k3s-daas.1',
        '/usr/local/share/bash-completion/completions/k3s-daas',
      ];
      const left = await machine.run('ls', ...files);
      expect(left.output.match(/No such file/g)).toHaveLength(files.length);
      const config = '/etc/rancher/k3s/config.yaml';
      expect(await machine.read(config)).toBe(before[config]);
    });
  },
);
