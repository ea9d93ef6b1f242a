import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FakeAgent, FakeGateways, fakeRegistration, RecordingLog } from 'k3s-daas/plugin/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#base';
import { operations } from '#chain';
import { type Host, HostAgent } from '#host';
import { GatewayConnector, type HostEvents, NodeIdentity } from '#plugin';
import { openNodeIdentity } from '#seal';
import { createAgentHost } from '../src/cli/agent-host.ts';
import { agentParts } from '../src/cli/agent-parts.ts';
import { takePoolFile } from '../src/cli/pool-file.ts';
import { loadWorkerSettings } from '../src/cli/settings.ts';
import { tokenCommand } from '../src/cli/token.ts';
import { type ChainWorld, SUI, startChainWorld } from './chain/chain-world.ts';
import { runInProcess } from './chain/run-command.ts';

/**
 * The host with its built-in plugins, its settings and a real chain client on the dev chain; gateway and agent are the fakes
 * of the plugin testing kit. What the whole does with a real gateway and real processes, the demo's world shows.
 */
let world: ChainWorld;
beforeAll(async () => {
  world = await startChainWorld();
  await operations.addGateway.execute(world.actor, {
    url: 'https://gateway.example.com:8443',
    tlsPins: [new Uint8Array(32).fill(1)],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(32).fill(2),
    tier: 'basic',
  });
});
afterAll(() => world[Symbol.asyncDispose]());

const stakeMist = 2n * SUI;

/** A configuration file as an operator writes it, and hosts that live by it, one after the other. */
async function makeWorker(nodeId: string, changes: Readonly<Record<string, unknown>> = {}) {
  const directory = world.directory;
  const wallet = await world.wallet(10n);
  const deployment = join(directory, 'deployment.json');
  await writeFile(deployment, JSON.stringify(world.deployment));
  const file = join(directory, `${nodeId}.json`);
  const stateDir = join(directory, nodeId);
  const own = {
    nodeId,
    stateDir,
    chain: { endpoints: [world.url], deployment },
    wallet: { keyFile: wallet.keyFile, address: wallet.address },
    stake: { amountMist: String(stakeMist), acceptTerms: 'any' },
    join: { deadlineMs: 20_000 },
    plugins: [
      { use: 'staking' },
      { use: 'registration' },
      { use: 'heartbeat' },
      { use: 'slashing', config: { intervalMs: 100 } },
    ],
  };
  await writeFile(file, JSON.stringify({ ...own, ...changes }));

  async function start(flags: { stakeAgain?: boolean } = {}) {
    const settings = await loadWorkerSettings({ file, env: {} });
    const agent = new FakeAgent();
    const gateways = new FakeGateways(systemClock);
    gateways.registration = fakeRegistration({ nodeId, heartbeatIntervalMs: 100 });
    const log = new RecordingLog();
    const parts = agentParts(settings, { log, args: [] })
      .register(HostAgent, () => agent)
      .register(GatewayConnector, () => gateways)
      .register(NodeIdentity, () =>
        openNodeIdentity({
          nodeId,
          keyFile: join(stateDir, 'node.key'),
          passwordFile: join(stateDir, 'node-password'),
        }),
      );
    const host = await createAgentHost(settings, parts, { ...flags, signals: undefined });
    const seen = follow(host);
    return { host, agent, gateways, log, seen, ended: host.run() };
  }
  return { wallet, file, stateDir, start };
}

/** The first fact of an event, whether it has come already or not. */
function follow(host: Host) {
  const facts = new Map<keyof HostEvents, Promise<unknown>>();
  const events = [
    'stake.created',
    'stake.found',
    'seal.minted',
    'heartbeat.acknowledged',
    'stake.slashed',
  ] as const;
  for (const event of events) {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    facts.set(event, promise);
    host.events.on(event, resolve);
  }
  return async <E extends (typeof events)[number]>(event: E) => (await facts.get(event)) as HostEvents[E];
}

test('a worker stakes, mints, registers and heartbeats; slashed on chain it locks itself out for good', async () => {
  const worker = await makeWorker('slashed-worker');
  const life = await worker.start();
  const [created, minted] = await Promise.all([life.seen('stake.created'), life.seen('seal.minted')]);
  await life.seen('heartbeat.acknowledged');
  const record = (await world.client.records([created.recordId])).get(created.recordId);
  expect(record).toMatchObject({
    nodeId: 'slashed-worker',
    stakeMist,
    token: minted.tokenId,
    status: 'active',
  });
  expect(life.gateways.registrations[0]).toMatchObject({ sealTokenId: minted.tokenId });

  const slashed = life.seen('stake.slashed');
  await operations.proposeSlash.execute(world.actor, {
    recordId: created.recordId,
    amountMist: stakeMist,
    reason: 'test',
  });
  expect((await slashed).recordId).toBe(created.recordId);
  expect(await life.ended).toMatchObject({ exitCode: 77, error: { code: 'DAAS_STAKE_SLASHED' } });
  expect(life.agent.calls).toContain('stopForGood');
  expect(JSON.parse(await readFile(join(worker.stateDir, 'latch.json'), 'utf8'))).toMatchObject({
    recordId: created.recordId,
    isComplete: true,
  });

  const restarted = await worker.start();
  expect(await restarted.ended).toMatchObject({ exitCode: 77, error: { code: 'DAAS_LATCHED' } });
  expect(restarted.agent.starts).toEqual([]);

  const again = await worker.start({ stakeAgain: true });
  expect((await again.seen('stake.created')).recordId).not.toBe(created.recordId);
  await again.seen('heartbeat.acknowledged');
  again.host.stop('test');
  expect((await again.ended).exitCode).toBe(0);
});

test('a restart finds what stands, and pays nothing', async () => {
  const worker = await makeWorker('restarted-worker');
  const first = await worker.start();
  const { recordId } = await first.seen('stake.created');
  await first.seen('heartbeat.acknowledged');
  first.host.stop('test');
  expect((await first.ended).exitCode).toBe(0);
  const before = await world.balance(worker.wallet.address);

  const second = await worker.start();
  expect((await second.seen('stake.found')).recordId).toBe(recordId);
  await second.seen('heartbeat.acknowledged');
  second.host.stop('test');
  expect((await second.ended).exitCode).toBe(0);
  expect(await world.balance(worker.wallet.address)).toBe(before);
  expect(second.gateways.heartbeats[0]).toMatchObject({ incarnation: 1, sequence: 1 });
});

test('a node id that another wallet has staked ends with 78, and costs nothing', async () => {
  const owner = await makeWorker('wanted');
  const first = await owner.start();
  await first.seen('heartbeat.acknowledged');
  first.host.stop('test');
  await first.ended;
  const other = await makeWorker('wanted', { stateDir: join(world.directory, 'other-wanted') });
  const before = await world.balance(other.wallet.address);
  const life = await other.start();
  expect(await life.ended).toMatchObject({
    exitCode: 78,
    error: { code: 'DAAS_NODE_ID_TAKEN', message: expect.stringMatching(/^staking\(SealTokenSource\): /) },
  });
  expect(await world.balance(other.wallet.address)).toBe(before);
});

test('what the gateway would refuse, a balance that is too low, and another chain cost nothing', async () => {
  const worker = await makeWorker('poor', { stake: { amountMist: String(50n * SUI), acceptTerms: 'any' } });
  const before = await world.balance(worker.wallet.address);
  const poor = await worker.start();
  expect((await poor.ended).error).toMatchObject({ code: 'DAAS_BALANCE_TOO_LOW' });
  const elsewhere = await makeWorker('elsewhere', {
    chain: {
      endpoints: [world.url],
      ...world.deployment,
      chainId: '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD',
    },
    // A public network: consent to any terms would be refused before the chain is asked.
    stake: { amountMist: String(stakeMist), acceptTerms: '0'.repeat(32) },
  });
  expect(await (await elsewhere.start()).ended).toMatchObject({
    exitCode: 78,
    error: { code: 'DAAS_CHAIN_ID_MISMATCH' },
  });
  expect(await world.balance(worker.wallet.address)).toBe(before);
});

test('a machine without the wallet key runs on a stake that was made elsewhere for its node key', async () => {
  const worker = await makeWorker('keyless-worker', { wallet: {}, stake: {} });
  const nothing = await worker.start();
  expect(await nothing.ended).toMatchObject({
    exitCode: 78,
    error: { code: 'DAAS_WALLET_MISSING', message: expect.stringContaining('--holder-key-file') },
  });
  const { holderKey } = JSON.parse(
    await runInProcess([tokenCommand], ['token', 'node-key', '--config', worker.file, '--json']),
  );
  const chain = await world.stakeChain(worker.wallet);
  const { objectId: recordId } = await chain.join({
    nodeId: 'keyless-worker',
    stakeMist,
    holderKey: Uint8Array.from(Buffer.from(holderKey, 'hex')),
  });
  const before = await world.balance(worker.wallet.address);
  const life = await worker.start();
  expect((await life.seen('stake.found')).recordId).toBe(recordId);
  await life.seen('heartbeat.acknowledged');
  life.host.stop('test');
  expect((await life.ended).exitCode).toBe(0);
  expect(await world.balance(worker.wallet.address)).toBe(before);
});

test('without the wallet key nothing is staked or minted: the error names the way', async () => {
  const address = (await world.wallet(10n)).address;
  const worker = await makeWorker('unsigned-worker', { wallet: { address } });
  const life = await worker.start();
  expect(await life.ended).toMatchObject({ exitCode: 78, error: { code: 'DAAS_WALLET_KEY_ELSEWHERE' } });
  expect(await world.balance(address)).toBe(10n * SUI);
});

test('a machine of a fleet joins with the file that was made for it, and no wallet', async () => {
  const owner = await world.wallet(10n);
  const deployment = join(world.directory, 'deployment.json');
  await writeFile(deployment, JSON.stringify(world.deployment));
  const out = join(world.directory, 'pool');
  const make = async (...args: string[]) =>
    JSON.parse(
      await runInProcess(
        [tokenCommand],
        `token pool make --out ${out} --prefix fleet --key-file ${owner.keyFile} --endpoint ${world.url} --deployment ${deployment} --accept-terms any --journal ${out}-journal.json --json`
          .split(' ')
          .concat(args),
      ),
    );
  expect(await make('--count', '2', '--dry-run')).toMatchObject({ missing: ['fleet-1', 'fleet-2'] });
  const two = await make('--count', '2', '--yes');
  expect(two.nodes).toMatchObject([{ nodeId: 'fleet-1' }, { nodeId: 'fleet-2' }]);
  const manifest = await readFile(two.manifest, 'utf8');
  expect(manifest).not.toContain('PRIVATE');
  // Run again it makes what is missing.
  const three = await make('--count', '3', '--yes');
  expect(three.nodes.slice(0, 2)).toEqual(two.nodes);
  expect(await world.balance(owner.address)).toBeGreaterThan(6n * SUI);

  const worker = await makeWorker('fleet-1', { wallet: {}, stake: {} });
  const { file, tokenId } = three.nodes[0];
  await takePoolFile({ file, stateDir: worker.stateDir, nowMs: Date.now() });
  const life = await worker.start();
  await life.seen('heartbeat.acknowledged');
  expect(life.gateways.registrations[0]).toMatchObject({ sealTokenId: tokenId });
  life.host.stop('test');
  expect((await life.ended).exitCode).toBe(0);
  await expect(make('--count', '3', '--yes')).rejects.toMatchObject({ code: 'DAAS_POOL_FILE_USED' });
});
