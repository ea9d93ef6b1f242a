import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from './chain/run-command.ts';
import { until } from './world/kubernetes.ts';
import { World } from './world/world.ts';
import { runGateway } from './world/world-parts.ts';

/** A gateway process that anchors its audit file on the dev chain, by a wallet with one SUI. */
let world: World;
let wallet: string;
let stateDir: string;
/** Gateways stop and start, on a busy machine. */
const SLOW = { timeout: 240_000 };

beforeAll(async () => {
  world = await World.start();
  await world.gateway.stop();
  const config = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8'));
  const { keyFile, address } = await world.chain.wallet(1n);
  wallet = address;
  ({ stateDir } = config.gateway);
  const chain = { ...config.chain, probe: { keyFile } };
  const gateway = { ...config.gateway, audit: { ...config.gateway.audit, anchor: 'daily' } };
  await writeFile(world.gatewayConfigFile, JSON.stringify({ ...config, chain, gateway }), { mode: 0o600 });
});
afterAll(() => world?.close());

const run = (...args: readonly string[]) => runCommand(world.directory, ...args);
const snapshot = () => join(world.directory, 'snapshot');

async function command(...args: readonly string[]) {
  const { exitCode, stdout, stderr } = await run(...args, '--config', world.gatewayConfigFile, '--json');
  return { exitCode, ...JSON.parse(stdout || stderr) };
}

const lines = async () => readFile(join(stateDir, 'audit.jsonl'), 'utf8');

test(
  'a machine that was put back as a whole is found by what its gateway has anchored on chain',
  SLOW,
  async () => {
    await cp(stateDir, snapshot(), { recursive: true, filter: (path) => !path.endsWith('.sock') });
    await world.restartGateway();
    await until('the anchor', async () => (await lines()).includes('audit.anchored') || undefined);
    const good = await command('audit', 'verify');
    expect(good).toMatchObject({
      exitCode: 0,
      anchors: {
        checked: true,
        wallet,
        gateway: world.gatewayId,
        answered: 1,
        found: 1,
        held: 1,
        givenUp: 0,
        noted: 1,
      },
    });
    const health = String((await world.gateway.event('gateway.listening')).healthUrl);
    const metrics = await (await fetch(`${health}/metrics`)).text();
    expect(metrics).toMatch(/^k3s_daas_audit_anchor_age_seconds\{mode="daily"\} \d/m);
    const { newest } = good.anchors;
    expect(await (await fetch(`${health}/readyz`)).json()).toMatchObject({
      chain_probe: { mode: 'off', anchor: { sequence: newest.sequence, transaction: newest.digest } },
    });
    await world.gateway.stop();
    // A copy elsewhere, checked with the wallet and any full node.
    const copy = join(world.directory, 'copy');
    await cp(stateDir, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    const chain = ['--endpoint', world.chain.url, '--deployment', world.deploymentFile];
    const elsewhere = await run('audit', 'verify', copy, '--anchor', wallet, ...chain);
    expect(elsewhere).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('1 of 1 held') });
    const silent = ['--endpoint', 'http://127.0.0.1:9', '--deployment', world.deploymentFile];
    const unheard = await run('audit', 'verify', copy, '--anchor', wallet, ...silent);
    expect(unheard).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('NOT CHECKED') });
    const stranger = (await world.chain.wallet(1n)).address;
    const none = await run('audit', 'verify', copy, '--anchor', stranger, ...chain);
    expect(none).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('NONE FOUND') });

    // Files that begin after every anchor hold none, whatever became of those before.
    const since = join(world.directory, 'since');
    await cp(stateDir, since, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    const rest = (await lines()).split('\n').slice(good.anchors.newest.sequence + 1);
    await writeFile(join(since, 'audit.jsonl'), rest.join('\n'));
    const beyond = await run('audit', 'verify', since, '--anchor', wallet, ...chain);
    expect(beyond).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('NONE HELD') });
    expect(beyond.stdout).toContain('Whole: no line is lost');
    // Where the configuration anchors, some anchor is expected, also by a file that notes none.
    const other = join(world.directory, 'other-wallet.json');
    const config = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8'));
    const { keyFile } = await world.chain.wallet(1n);
    await writeFile(other, JSON.stringify({ ...config, chain: { ...config.chain, probe: { keyFile } } }), {
      mode: 0o600,
    });
    const without = await run('audit', 'verify', snapshot(), '--config', other);
    expect(without).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('NONE FOUND') });

    await rm(stateDir, { recursive: true });
    await cp(snapshot(), stateDir, { recursive: true });
    const { sequence, hash, digest } = good.anchors.newest;
    expect(await command('audit', 'verify')).toMatchObject({
      exitCode: 1,
      problems: [
        { fault: 'end_missing', detail: expect.stringMatching(`line ${sequence} .*${digest}.*${hash}`) },
      ],
    });
    expect(await command('audit', 'verify', '--no-anchor')).toMatchObject({ exitCode: 0, anchors: null });
    const refused = runGateway(world.directory, world.gatewayConfigFile, world.k3s.gatewayMachine?.command);
    expect(await refused.exited).toMatchObject({ code: 78 });
    expect(refused.tail()).toContain('DAAS_STATE_ROLLED_BACK');
  },
);

test('the operator accepts it by a restore, which audit verify names', SLOW, async () => {
  const backup = join(world.directory, 'backup');
  expect(await command('gateway', 'state', 'backup', '--out', backup)).toMatchObject({ exitCode: 0 });
  expect(await command('gateway', 'state', 'restore', backup, '--yes')).toMatchObject({ exitCode: 0 });
  await world.restartGateway();
  await until('the line of the restore', async () => (await lines()).includes('state.restored') || undefined);
  const after = await command('audit', 'verify');
  expect(after).toMatchObject({ exitCode: 0, anchors: { givenUp: 1 } });
  const text = await run('audit', 'verify', '--config', world.gatewayConfigFile);
  expect(text.stdout).toContain('1 NOT HERE, given up by a later line state.restored');
});

test('anchoring without a wallet or without probes is refused by name', async () => {
  const config = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8'));
  const file = join(world.directory, 'wrong.json');
  const runWith = async (anchor: string) => {
    const gateway = { ...config.gateway, audit: { anchor } };
    await writeFile(file, JSON.stringify({ ...config, chain: { ...config.chain, probe: {} }, gateway }), {
      mode: 0o600,
    });
    return run('gateway', 'run', '--config', file);
  };
  expect(await runWith('daily')).toMatchObject({
    exitCode: 78,
    stderr: expect.stringContaining('chain.probe.keyFile'),
  });
  expect(await runWith('probes')).toMatchObject({
    exitCode: 78,
    stderr: expect.stringContaining('Set gateway.audit.anchor to daily'),
  });
});
