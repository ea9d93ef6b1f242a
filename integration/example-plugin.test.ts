import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  describePlugin,
  FakeAgent,
  FakeClock,
  FakeStakeChain,
  fakeRegistration,
  loadPlugin,
  RecordingLog,
} from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createHost, discoverPlugin, HostAgent, HostLog, hostParts, type PluginEntry } from '#host';
import {
  AgentArguments,
  definePlugin,
  HostClock,
  JoinCredentialSource,
  SealTokenSource,
  StakeChain,
} from '#plugin';

const config = { labels: { 'example.com/zone': 'a', 'example.com/disk': 'fast' } };

/** Stands in for the built-ins: what they provide, at once. */
const joined = definePlugin({
  name: 'joined',
  api: 1,
  config: z.strictObject({}),
  setup(scope) {
    const stake = { recordId: '0x1', tokenId: '0x2', stakeMist: 1n };
    scope.provide(SealTokenSource, { find: async () => stake, obtain: async () => stake });
    scope.provide(JoinCredentialSource, {
      preflight: async () => undefined,
      register: async () => fakeRegistration(),
    });
  },
});

async function runHost(...plugins: readonly PluginEntry[]) {
  const stateDir = await mkdtemp(join(tmpdir(), 'k3s-daas-example-'));
  const clock = new FakeClock();
  const log = new RecordingLog();
  const agent = new FakeAgent();
  const host = createHost({
    nodeId: 'worker-1',
    stateDir,
    plugins: [{ use: 'joined' }, ...plugins],
    builtIns: { joined: async () => joined },
    // As if the configuration file stood in integration/.
    pluginDirectory: import.meta.dirname,
    joinDeadlineMs: 60_000,
    signals: undefined,
    parts: hostParts()
      .register(HostLog, () => log)
      .register(HostClock, () => clock)
      .register(HostAgent, () => agent)
      .register(StakeChain, () => new FakeStakeChain(clock)),
  });
  const running = new Promise<void>((resolve) => {
    host.events.on('phase.entered', ({ phase }) => {
      // The agent of this test emits no `agent.ready`, so the plugin is not ready.
      if (phase === 'run' || phase === 'degraded') resolve();
    });
  });
  return {
    host,
    agent,
    async live() {
      const ended = host.run();
      await Promise.race([running, ended]);
      host.stop('test');
      const outcome = await ended;
      await rm(stateDir, { recursive: true });
      return outcome;
    },
  };
}

test('a plugin of a package of its own is loaded by its path and adds flags to the agent', async () => {
  const life = await runHost({ use: './example-plugin', config });
  const details: unknown[] = [];
  life.host.events.on('phase.entered', () => details.push(life.host.health().details['node-labels']));
  expect(await life.live()).toEqual({ exitCode: 0, error: undefined });
  expect(life.agent.starts[0]?.arguments).toEqual([
    '--node-label=example.com/disk=fast',
    '--node-label=example.com/zone=a',
  ]);
  expect(details).toContainEqual({ live: true, ready: false, detail: 'the agent is not ready yet' });
});

test('its wrong configuration ends the host before anything is started', async () => {
  const life = await runHost({ use: './example-plugin', config: { labels: { Zone: 'a' } } });
  expect(await life.live()).toMatchObject({
    exitCode: 78,
    error: {
      code: 'DAAS_PLUGINS_INVALID',
      message: expect.stringContaining('plugins[1] (use: "./example-plugin"): config'),
    },
  });
  expect(life.agent.calls).toEqual(['dispose']);
});

const plugin = await discoverPlugin(
  { use: './example-plugin' },
  { builtIns: {}, directory: import.meta.dirname },
);

describePlugin(plugin, test, {
  config,
  badConfigs: [{}, { labels: { a: 1 } }, { labels: {}, slowAfterMs: 'long' }, { label: {} }],
  exercise: (loaded) => loaded.emit('agent.ready', { pid: 1 }),
});

test('it tells how long the join took', async () => {
  await using loaded = await loadPlugin(plugin, { config });
  expect(loaded.provided(AgentArguments).agentArguments()).toHaveLength(2);
  await loaded.clock.advance(5_000);
  loaded.emit('agent.ready', { pid: 7 });
  expect(loaded.health().details['node-labels']).toMatchObject({
    ready: true,
    detail: 'joined after 5000 ms',
  });
});

test('docs/plugins.md shows it as it is', async () => {
  const docs = await readFile('docs/plugins.md', 'utf8');
  const code = await readFile(join(import.meta.dirname, 'example-plugin', 'index.js'), 'utf8');
  expect(docs).toContain(code.trim());
});
