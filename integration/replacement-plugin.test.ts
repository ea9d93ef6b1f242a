import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  describePlugin,
  FakeAgent,
  FakeClock,
  FakeStakeChain,
  fakeRegistration,
  memoryJournal,
  RecordingLog,
  settled,
} from 'k3s-daas/plugin/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import {
  createHost,
  discoverPlugin,
  HostAgent,
  HostLog,
  type HostOutcome,
  hostParts,
  integrityOf,
  previewStart,
} from '#host';
import { definePlugin, HostClock, JoinCredentialSource, StakeChain } from '#plugin';
import { ourProgram } from './world/program.ts';

const use = '@acme/daas-stake-pool';
const stake = { recordId: '0xrecord', tokenId: '0xtoken' };

/** The configuration's directory, with the package installed from its tarball. */
let directory: string;
const installed = () => join(directory, 'node_modules', use);
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-replacement-'));
  const tarballs = join(directory, 'tarballs');
  await mkdir(tarballs);
  npm(join(import.meta.dirname, 'replacement-plugin'), 'pack', '--pack-destination', tarballs);
  await writeFile(join(directory, 'package.json'), '{"private": true}');
  npm(
    directory,
    'install',
    '--offline',
    '--no-audit',
    '--no-fund',
    join(tarballs, 'acme-daas-stake-pool-1.2.0.tgz'),
  );
});
afterAll(() => rm(directory, { recursive: true }));

function npm(cwd: string, ...args: string[]): void {
  const { status, stderr } = spawnSync('npm', args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm ${args.join(' ')} failed: ${stderr}`);
}

const joining = definePlugin({
  name: 'joining',
  api: 1,
  config: z.strictObject({}),
  setup(scope) {
    scope.provide(JoinCredentialSource, {
      preflight: async () => undefined,
      register: async () => fakeRegistration(),
    });
  },
});
const builtIns = { joining: async () => joining };

interface Life {
  readonly outcome: HostOutcome;
  readonly log: RecordingLog;
  readonly agent: FakeAgent;
  readonly listeners: number;
  readonly health: unknown;
}

/** Runs a host until it ends by itself, or until it runs and is stopped. */
async function runHost(config: { fault?: string; recordId?: unknown }, entry: object = {}): Promise<Life> {
  const clock = new FakeClock();
  const log = new RecordingLog();
  const agent = new FakeAgent();
  const stateDir = await mkdtemp(join(directory, 'state-'));
  const host = createHost({
    nodeId: 'worker-1',
    stateDir,
    plugins: [{ use, config: { ...stake, ...config }, ...entry }, { use: 'joining' }],
    builtIns,
    pluginDirectory: directory,
    joinDeadlineMs: 60_000,
    signals: undefined,
    parts: hostParts()
      .register(HostLog, () => log)
      .register(HostClock, () => clock)
      .register(HostAgent, () => agent)
      .register(StakeChain, () => new FakeStakeChain(clock)),
  });
  let health: unknown;
  let isOver = false;
  const ended = host.run().finally(() => {
    isOver = true;
  });
  host.events.on('phase.entered', ({ phase }) => {
    if (phase === 'run' || phase === 'degraded') health = host.health().details;
  });
  const endsByItself = config.fault === 'task throws';
  // The clock of this host is turned only where something hangs until a deadline: the disk takes real time.
  const turnUntil = async (isReached: () => boolean, faults: readonly string[]) => {
    while (!isOver && !isReached()) {
      await settled();
      if (config.fault !== undefined && faults.includes(config.fault)) await clock.advance(100);
    }
  };
  const beforeTheStop = ['setup hangs', 'call hangs', 'task throws'];
  await turnUntil(() => health !== undefined && !endsByItself, beforeTheStop);
  host.stop('test');
  await turnUntil(() => false, ['task leaks', 'release hangs']);
  return { outcome: await ended, log, agent, listeners: host.events.listenerCount(), health };
}

test('a package from a tarball replaces a built-in plugin by its npm name', async () => {
  const { outcome, agent } = await runHost({});
  expect(outcome).toEqual({ exitCode: 0, error: undefined });
  expect(agent.starts).toHaveLength(1);
});

test.each([
  ['setup throws', 75, 'PLUGIN_POOL_BROKEN', 'stake-pool(setup): the pool is broken'],
  ['setup hangs', 1, 'DAAS_DEADLINE', 'stake-pool(setup): setup took longer than 10000 ms'],
  ['task throws', 75, 'PLUGIN_POOL_BROKEN', 'stake-pool(renew-the-lease): the pool is broken'],
  ['call throws', 75, 'PLUGIN_POOL_BROKEN', 'stake-pool(SealTokenSource): the pool is broken'],
  ['call hangs', 75, 'DAAS_JOIN_DEADLINE', "the step 'stake' of the plugin 'stake-pool' got no answer"],
  [
    'call returns rubbish',
    1,
    'DAAS_PLUGIN_REPLY',
    'stake-pool(SealTokenSource): the reply of obtain is not what the contract promises: tokenId is missing',
  ],
])('%s: the host ends with %i, and the error names the plugin', async (fault, exitCode, code, sentence) => {
  const { outcome, agent } = await runHost({ fault });
  expect(outcome).toMatchObject({ exitCode, error: { code, message: expect.stringContaining(sentence) } });
  if (!fault.startsWith('task')) expect(agent.starts).toEqual([]);
});

test('setup leaks: what it registered before it threw is undone', async () => {
  const { outcome, listeners, log } = await runHost({ fault: 'setup leaks' });
  expect(outcome.error?.message).toContain('stake-pool(setup)');
  expect(log.messages()).toContain('The lease is given back');
  // The host's own, and the one of this test.
  expect(listeners).toBe((await runHost({ fault: 'setup throws' })).listeners);
});

test.each([
  ['task leaks', 'A task did not end when asked to', { task: 'renew-the-lease' }],
  ['listener throws', 'A listener failed', { event: 'phase.entered' }],
  ['release throws', 'Releasing a plugin failed', {}],
  ['release hangs', 'Releasing a plugin failed', {}],
])('%s: the host goes on, and its log names the plugin', async (fault, message, fields) => {
  const { outcome, log } = await runHost({ fault });
  expect(outcome.exitCode).toBe(0);
  expect(log.records.find((record) => record.message === message)?.fields).toMatchObject({
    plugin: 'stake-pool',
    ...fields,
  });
});

test('health throws: the host goes on degraded, and its health names the plugin', async () => {
  const { outcome, health } = await runHost({ fault: 'health throws' });
  expect(outcome.exitCode).toBe(0);
  expect(health).toMatchObject({
    'stake-pool': { live: true, ready: false, detail: expect.stringContaining('the pool is broken') },
  });
});

test.each([
  ['throws', `throw new Error('no licence');`, 'DAAS_PLUGIN_LOAD_FAILED'],
  ['waits', 'await new Promise(() => undefined);', 'DAAS_PLUGIN_LOAD_FAILED'],
  ['exports rubbish', 'export default 5;', 'DAAS_PLUGIN_SHAPE'],
])('a module that %s when it is loaded is refused by its name', async (what, code, errorCode) => {
  const name = `@acme/module-${what.replace(' ', '-')}`;
  const copy = join(directory, 'node_modules', name);
  await cp(installed(), copy, { recursive: true });
  await writeFile(join(copy, 'index.js'), code);
  await expect(discoverPlugin({ use: name }, { builtIns, directory })).rejects.toMatchObject({
    code: errorCode,
    exitCode: 78,
    message: expect.stringContaining(name),
  });
});

test('a configuration that is wrong is told with the name and the key, before anything starts', async () => {
  const { outcome, agent } = await runHost({ recordId: 7 });
  expect(outcome).toMatchObject({
    exitCode: 78,
    error: { message: expect.stringContaining(`plugins[0] (use: "${use}"): config.recordId: expected`) },
  });
  expect(agent.calls).toEqual(['dispose']);
});

test('--dry-run shows the plan of the package', async () => {
  const clock = new FakeClock();
  const { plan } = await previewStart({
    nodeId: 'worker-1',
    stateDir: directory,
    plugins: [{ use, config: stake }, { use: 'joining' }],
    builtIns,
    pluginDirectory: directory,
    mayStakeAgain: false,
    chain: new FakeStakeChain(clock),
    bindings: [],
    journal: memoryJournal(),
    clock,
    log: new RecordingLog(),
  });
  expect(plan).toBe('would borrow the stake 0xrecord from the pool');
});

test('the printed integrity admits the package, and a changed file is refused', async () => {
  const file = join(directory, 'k3s-daas.json');
  const plugins = [{ use, config: stake }, { use: 'registration' }];
  await writeFile(file, JSON.stringify({ chain: { endpoints: ['https://node.example'] }, plugins }), {
    mode: 0o600,
  });
  const [program, ...first] = ourProgram;
  const args = [...first, 'plugins', 'integrity', use, '--config', file];
  const { stdout, status } = spawnSync(program, args, { encoding: 'utf8' });
  expect([status, stdout]).toEqual([0, `${integrityOf(installed())}\n`]);
  const integrity = stdout.trim();
  expect((await runHost({}, { integrity })).outcome.exitCode).toBe(0);
  const code = await readFile(join(installed(), 'index.js'), 'utf8');
  await writeFile(join(installed(), 'index.js'), `${code}\n`);
  expect((await runHost({}, { integrity })).outcome).toMatchObject({
    exitCode: 78,
    error: { message: expect.stringContaining('None of its code has run') },
  });
  await writeFile(join(installed(), 'index.js'), code);
});

const plugin = await discoverPlugin(
  { use: './replacement-plugin' },
  { builtIns: {}, directory: import.meta.dirname },
);
describePlugin(plugin, test, { config: stake, badConfigs: [{}, { recordId: '0x1' }] });
