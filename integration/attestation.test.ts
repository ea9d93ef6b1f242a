import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SUI } from './chain/chain-world.ts';
import type { Program } from './world/program.ts';
import {
  OTHER_MEASUREMENT,
  STAND_IN_EVIDENCE,
  STAND_IN_MEASUREMENT,
  writeStandInPolicy,
} from './world/stand-in-tee.ts';
import { workerPlugins } from './world/worker-plugins.ts';
import { type Worker, World } from './world/world.ts';

/**
 * Gateways with the evidence of a stand-in, and workers that ask for it. The chain names another measurement for the first
 * gateway than the one it shows: it runs something else than what its cluster wants.
 */
const withinMs = 120_000;
let world: World;
let second: Awaited<ReturnType<World['addGateway']>>;
let policyFile: string;

beforeAll(async () => {
  world = await World.start({
    heartbeatIntervalMs: 300,
    gateway: STAND_IN_EVIDENCE,
    attestation: { kind: 'sev-snp', measurement: OTHER_MEASUREMENT },
  });
  second = await world.addGateway('second', { kind: 'sev-snp', measurement: STAND_IN_MEASUREMENT });
  policyFile = await writeStandInPolicy(join(world.directory, 'tee-policy.json'), {
    gateways: [world, second],
  });
});
afterAll(() => world?.close());

const worker = (nodeId: string, config: Readonly<Record<string, unknown>>) =>
  world.worker(nodeId, {
    config: {
      plugins: workerPlugins(world.gatewayUrl),
      ...config,
    },
  });
/** The funds of a new wallet are whole: gateways are judged before money moves. */
async function nothingSpent({ wallet }: Worker): Promise<void> {
  expect(await world.chain.balance(wallet.address)).toBe(100n * SUI);
}
const registrations = ({ lines }: Program) => lines.filter(({ event }) => event === 'worker.registered');

test('a worker leaves the gateway that runs something else, and registers with the one whose evidence holds', {
  timeout: 300_000,
}, async () => {
  const host = (
    await worker('attesting', { teeMode: 'dev', attestation: { policyFile }, log: { level: 'debug' } })
  ).start();
  await host.event('agent.ready', { withinMs });
  await host.event('heartbeat.acknowledged', { withinMs });
  expect(registrations(host)).toMatchObject([{ gatewayUrl: second.gatewayUrl }]);
  const refused = host.lines.find(
    ({ gatewayUrl, error }) => gatewayUrl === world.gatewayUrl && error !== undefined,
  );
  expect(refused).toMatchObject({ error: { code: 'DAAS_GATEWAY_NOT_ATTESTED' } });
  expect(JSON.stringify(refused)).toContain('measurement-not-registered');
  await host.stop();
});

test('a worker that is told to attest registers nowhere when no evidence holds, and says why', {
  timeout: 300_000,
}, async () => {
  const strict = await writeStandInPolicy(join(world.directory, 'strict.json'), {
    gateways: [],
    change: { devRoots: ['00'.repeat(32)] },
  });
  const joining = await worker('strict', {
    teeMode: 'dev',
    attestation: { policyFile: strict },
    join: { deadlineMs: 8_000 },
  });
  const host = joining.start();
  await host.exited;
  expect(registrations(host)).toEqual([]);
  expect(host.tail(40)).toContain('DAAS_GATEWAY_NOT_ATTESTED');
  expect(host.tail(40)).toContain('root-foreign');
  expect(await world.node('strict')).toBeUndefined();
  await nothingSpent(joining);
});

test('no production policy accepts a stand-in, and a mode without a policy of its own is refused before anything starts', {
  timeout: 300_000,
}, async () => {
  const joining = await worker('production', { teeMode: 'production', attestation: { policyFile } });
  const host = joining.start();
  expect(await host.exited).toMatchObject({ code: 78 });
  expect(host.tail()).toContain('DAAS_TEE_POLICY_MISSING');
  await nothingSpent(joining);
});

test('without teeMode nothing is asked', { timeout: 300_000 }, async () => {
  const host = (await worker('trusting', {})).start();
  await host.event('heartbeat.acknowledged', { withinMs });
  expect(registrations(host)).toMatchObject([{ gatewayUrl: world.gatewayUrl }]);
  await host.stop();
});
