import { access, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DaasError, type Journal, Secret, silentLog, systemClock } from '#base';
import { openJournal } from '#infrastructure';
import type { AgentStart } from '#plugin';
import { AgentSettings } from './settings.ts';
import { createAgentSupervisor } from './supervisor.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'supervisor-'));
});
afterEach(() => rm(directory, { recursive: true }));

const request: AgentStart = {
  join: {
    server: 'https://127.0.0.1:9',
    token: new Secret(`K10${'a'.repeat(64)}::abcdef.0123456789abcdef`),
    expiresAtMs: Date.now() + 480_000,
  },
  nodeLabels: {},
  taints: [],
  arguments: [],
};

/** A supervisor of a program that waits for its SIGTERM, with a journal that a test may hold up. */
async function makeWorld(
  beforeWrite: (key: string) => Promise<void>,
  script = 'exec sleep 60',
  checkServer: NonNullable<Parameters<typeof createAgentSupervisor>[0]['checkServer']> = async () =>
    undefined,
) {
  const binary = join(directory, 'k3s');
  await writeFile(binary, `#!/bin/sh\n${script}\n`);
  await chmod(binary, 0o755);
  const plain = await openJournal(join(directory, 'journal.json'));
  const journal: Journal = {
    ...plain,
    write: async (key, value) => {
      await beforeWrite(key);
      await plain.write(key, value);
    },
  };
  const supervisor = createAgentSupervisor({
    settings: AgentSettings.parse({
      binary,
      args: ['--rootless', `--data-dir=${join(directory, 'data')}`, '--kubelet-arg=healthz-port=9'],
      runtimeDir: join(directory, 'run'),
      containerdAddress: join(directory, 'containerd.sock'),
      restartDelay: { baseMs: 0, maxMs: 0 },
      crashBudget: { crashes: 2 },
    }),
    nodeId: 'worker-1',
    journal,
    env: { PATH: process.env.PATH, K3S_CONFIG_FILE: join(directory, 'no-config.yaml') },
    clock: systemClock,
    random: () => 1,
    log: silentLog,
    emit: () => undefined,
    checkServer,
  });
  return { supervisor, tokenFile: join(directory, 'run', 'worker-1', 'join-token') };
}

test.each(['server', 'reached-ready', 'child'])(
  'stopped for good while a start is at the journal entry %j, the credential does not stay behind',
  async (at) => {
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const { supervisor, tokenFile } = await makeWorld(async (key) => {
      if (key !== at) return;
      reached.resolve();
      await goOn.promise;
    });
    const starting = supervisor.start(request, new AbortController().signal);
    starting.catch(() => undefined);
    await reached.promise;
    const stopping = supervisor.stopForGood();
    // So that it has wiped the credential before the start goes on.
    await expect
      .poll(() =>
        access(tokenFile).then(
          () => true,
          () => false,
        ),
      )
      .toBe(false);
    await new Promise((resolve) => setImmediate(resolve));
    goOn.resolve();
    await stopping;
    await expect(starting).rejects.toMatchObject({ code: 'DAAS_AGENT_STOPPED' });
    await expect(access(tokenFile)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(supervisor.state().kind).toBe('stopped');
  },
);

const fatalLine = (words: string) => `echo 'time="2026-01-01T00:00:00Z" level=fatal msg="${words}"' >&2`;

test('k3s that ends itself because of a setting is not started again, and its own words are the reason', async () => {
  const words = 'Error: kubelet exited: failed to parse kubelet flag: unknown flag: --foo';
  const starts = join(directory, 'starts');
  const { supervisor } = await makeWorld(
    async () => undefined,
    `echo x >> ${starts}\n${fatalLine(words)}\nexit 1`,
  );
  await expect(supervisor.start(request, new AbortController().signal)).rejects.toMatchObject({
    code: 'DAAS_AGENT_SETTINGS_REFUSED',
    exitCode: 78,
    message: expect.stringContaining('failed to parse kubelet flag: unknown flag: --foo'),
  });
  expect(await readFile(starts, 'utf8')).toBe('x\n');
});

test('before each start of k3s, one after a crash too, its server is checked; a refusal starts nothing', async () => {
  const starts = join(directory, 'starts');
  const checked: unknown[] = [];
  const { supervisor } = await makeWorld(
    async () => undefined,
    `echo x >> ${starts}\nexit 1`,
    async (server) => {
      checked.push(server);
      if (checked.length === 2) throw new DaasError('DAAS_SERVER_CA_MISMATCH', 'another CA');
    },
  );
  await expect(supervisor.start(request, new AbortController().signal)).rejects.toMatchObject({
    code: 'DAAS_SERVER_CA_MISMATCH',
  });
  expect(await readFile(starts, 'utf8')).toBe('x\n');
  const server = { url: 'https://127.0.0.1:9', caHash: 'a'.repeat(64) };
  expect(checked).toEqual([server, server]);
});

test('k3s that ends itself for another reason is started again, and its last words end up in the sentence', async () => {
  const words = 'Error: containerd exited: exit status 1';
  const { supervisor } = await makeWorld(async () => undefined, `${fatalLine(words)}\nexit 1`);
  await expect(supervisor.start(request, new AbortController().signal)).rejects.toMatchObject({
    code: 'DAAS_AGENT_CRASHING',
    exitCode: 1,
    message: expect.stringContaining('containerd exited: exit status 1'),
  });
});

test('before anything is staked, k3s is asked once about the same settings', async () => {
  const asked = join(directory, 'asked');
  const script = `echo "$1" >> ${asked}\necho 'k3s version v1.0 (x)'`;
  const { supervisor } = await makeWorld(async () => undefined, script);
  const live = new AbortController().signal;
  await supervisor.preflight(live);
  await supervisor.preflight(live);
  expect((await readFile(asked, 'utf8')).trim().split('\n').sort()).toEqual(['--version', 'agent']);
});

test('a preflight ends with the reason of k3s when it refuses its flags', async () => {
  const script = `[ "$1" = --version ] && echo 'k3s version v1.0 (x)' && exit\necho 'Incorrect Usage: flag provided but not defined: -new'\nexit 1`;
  const { supervisor } = await makeWorld(async () => undefined, script);
  await expect(supervisor.preflight(new AbortController().signal)).rejects.toMatchObject({
    code: 'DAAS_AGENT_SETTINGS_REFUSED',
    exitCode: 78,
  });
});
