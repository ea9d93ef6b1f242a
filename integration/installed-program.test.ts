import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startDevnet } from '@k3s-daas/devnet';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { roots } from '../scripts/command-lines.ts';
import { PLUGIN_ON_DISK, settingsWithPlugin } from '../scripts/release/plugin-on-disk.ts';
import { freePort } from './world/free-port.ts';
import { type InstalledCopy, installCopy } from './world/installed-copy.ts';
import { Program, projectRoot } from './world/program.ts';

const commandNames = roots.map((command) => command.name());

/** Both packages as a user installs them, and what then works without the clone. */
let home: string;
let copy: InstalledCopy;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'k3s-daas-installed-'));
  copy = await installCopy(home);
}, 300_000);
afterAll(() => rm(home, { recursive: true }));

const environment = () => ({ PATH: `${dirname(process.execPath)}:${process.env.PATH}`, NO_COLOR: '1' });

function run(...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(copy.program, args, { encoding: 'utf8', env: environment(), cwd: home });
}

test.each(commandNames)('the installed program has the command %s', (command) => {
  const { status, stdout, stderr } = run(command, '--help');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toContain(`Usage: k3s-daas ${command}`);
});

test('the installed program knows its version, and what it was tested with', () => {
  expect(run('--version').stdout).toMatch(/^\d+\.\d+\.\d+/);
  const facts = JSON.parse(run('version', '--json').stdout) as Record<string, unknown>;
  // The copy that is packed is no clone, so no commit is known of it.
  expect(facts).toMatchObject({ commit: null, packages: {}, isSingleExecutable: false });
  expect(facts.k3sTested).toContainEqual(expect.stringMatching(/^v1\./));
});

test('a plugin gets the classes of the installed program, and the built-ins are there', async () => {
  await writeFile(join(copy.directory, 'mine.mjs'), PLUGIN_ON_DISK);
  const file = join(copy.directory, 'k3s-daas.json');
  await writeFile(file, settingsWithPlugin({}), { mode: 0o600 });
  expect(run('config', '--check', '--config', file)).toMatchObject({ status: 0, stderr: '' });
  await writeFile(file, settingsWithPlugin({ code: true }));
  const refused = run('config', '--check', '--config', file);
  expect(refused.status).toBe(78);
  expect(refused.stderr).toContain('said by the plugin');
});

/** The configuration of a worker in mock mode; `endpoint` stands for the dev chain's usual port, which may be in use here. */
async function mockModeFile(endpoint: string, deployment: object): Promise<string> {
  const file = join(home, 'mock.json');
  const wallet = join(home, 'wallet.key');
  await writeFile(wallet, Ed25519Keypair.generate().getSecretKey(), { mode: 0o600 });
  const settings = {
    nodeId: 'worker-1',
    stateDir: join(home, 'state'),
    mockMode: true,
    chain: { endpoints: [endpoint], ...deployment },
    wallet: { keyFile: wallet },
    stake: { amountMist: '1000000000' },
    agent: { binary: join(projectRoot, 'integration', 'standin', 'agent', 'k3s') },
  };
  await writeFile(file, JSON.stringify(settings), { mode: 0o600 });
  return file;
}

const nowhere = {
  chainId: '1'.repeat(32),
  packageId: '0x1',
  clusterId: '0x2',
};

describe('with the dev chain', () => {
  test.each(['k3s-daas devnet', 'sui-devnet'])('%s runs until SIGTERM', async (name) => {
    const isOwn = name === 'sui-devnet';
    await using devnet = new Program({
      name,
      command: [isOwn ? copy.devnetProgram : copy.program],
      args: [...(isOwn ? [] : ['devnet']), '--json', '--port', '0'],
      logFile: join(home, 'devnet.log'),
      env: environment(),
      cwd: home,
    });
    const ready = await devnet.event('devnet.ready');
    const health = await fetch(`${String(ready.url)}/health`);
    expect(await health.json()).toMatchObject({ status: 'ok', chainId: ready.chainId });
    devnet.kill('SIGTERM');
    expect(await devnet.exited).toEqual({ code: 0, signal: null });
  });

  test('contracts are published to it, and a worker in mock mode finds its cluster there', async () => {
    await using devnet = new Program({
      name: 'devnet',
      command: [copy.program],
      args: ['devnet', '--json', '--port', '0'],
      logFile: join(home, 'devnet.log'),
      env: environment(),
      cwd: home,
    });
    const { url, faucet } = await devnet.event('devnet.ready');
    const admin = Ed25519Keypair.generate();
    await writeFile(join(home, 'admin.key'), admin.getSecretKey(), { mode: 0o600 });
    await fetch(String(faucet), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ FixedAmountRequest: { recipient: admin.toSuiAddress() } }),
    });
    const chain = ['--endpoint', String(url), '--key-file', 'admin.key', '--yes', '--json'];
    expect(run('contracts', 'publish', ...chain)).toMatchObject({ status: 0 });
    expect(run('cluster', 'create', ...chain)).toMatchObject({ status: 0 });
    const file = await mockModeFile(String(url), { deployment: join(home, 'deployment.json') });
    const { stdout, stderr } = run('agent', '--dry-run', '--json', '--config', file);
    // The wallet is empty: that is what the dry run finds out on this chain.
    expect(JSON.parse(stdout), stderr).toMatchObject({ dryRun: true, stop: 'DAAS_BALANCE_TOO_LOW' });
  });
});

describe('without the dev chain', () => {
  beforeAll(async () => {
    await rename(join(copy.directory, 'node_modules', '@k3s-daas'), join(home, 'put-away'));
  });

  test('the command names the package to install', () => {
    const { status, stderr } = run('devnet');
    expect(status).toBe(78);
    expect(stderr).toContain('DAAS_DEVNET_MISSING');
    expect(stderr).toMatch(/npm install --global @k3s-daas\/devnet@\d+\.\d+\.\d+/);
  });

  test('mock mode names it when no dev chain answers', async () => {
    const file = await mockModeFile(`http://127.0.0.1:${await freePort()}`, nowhere);
    const { status, stderr } = run('agent', '--dry-run', '--config', file);
    expect(stderr).toContain('DAAS_DEVNET_MISSING');
    expect(stderr).toContain(file);
    expect(status).toBe(78);
    const checked = run('config', '--config', file);
    expect(checked.status).toBe(0);
    expect(checked.stderr).toContain('@k3s-daas/devnet');
  });

  test('mock mode takes any dev chain that answers, wherever it runs from', async () => {
    await using devnet = await startDevnet();
    const file = await mockModeFile(devnet.url, nowhere);
    await using agent = new Program({
      name: 'agent',
      command: [copy.program],
      args: ['agent', '--dry-run', '--json', '--config', file],
      logFile: join(home, 'agent.log'),
      env: environment(),
      cwd: home,
    });
    const { error } = await agent.line('an error', (line) => 'error' in line);
    expect(error).toMatchObject({ code: 'DAAS_CHAIN_ID_MISMATCH' });
  });
});
