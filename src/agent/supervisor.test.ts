import { access, chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Journal, openJournal, Secret, silentLog, systemClock } from '#base';
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
async function makeWorld(beforeWrite: (key: string) => Promise<void>) {
  const binary = join(directory, 'k3s');
  await writeFile(binary, '#!/bin/sh\nexec sleep 60\n');
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
    }),
    nodeId: 'worker-1',
    journal,
    env: { PATH: process.env.PATH, K3S_CONFIG_FILE: join(directory, 'no-config.yaml') },
    clock: systemClock,
    random: () => 1,
    log: silentLog,
    emit: () => undefined,
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
