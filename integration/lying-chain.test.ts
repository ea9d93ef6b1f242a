import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contracts } from '#chain';
import { type KnownGateway, newNodeKey, register, type Stakeholder } from './world/outsider.ts';
import type { Program } from './world/program.ts';
import { SUI, World } from './world/world.ts';

/** A gateway process whose only full node lies; the worker's host asks an honest one. */
let world: World;
let gateway: KnownGateway;
let uid: string;
let recordId: string;
let tokenId: string;
/** A gateway stops and starts, on a busy machine. */
const SLOW = { timeout: 240_000 };
const { StakeRecord } = contracts.staking;
const { SealToken } = contracts.k8sGateway;

beforeAll(async () => {
  world = await World.start({ heartbeatIntervalMs: 500 });
  const pinned = await world.command(
    'proof',
    'pin',
    '--write',
    '--deployment',
    world.deploymentFile,
    '--endpoint',
    world.chain.url,
  );
  expect(pinned.code).toBe(0);
  const ca = await readFile(world.gatewayCaFile, 'utf8');
  gateway = { url: world.gatewayUrl, id: world.gatewayId, ca };
  const worker = await world.worker('worker-1');
  await worker.start().event('agent.ready');
  ({ uid } = await world.nodeReady('worker-1'));
  recordId = (await world.chain.client.liveRecordOf('worker-1')) ?? '';
  tokenId = (await world.chain.client.records([recordId])).get(recordId)?.token ?? '';
});
afterAll(() => world?.close());

/** Has the lying node of the dev chain say something else, over its control; returns the node's URL. */
async function lie(order: Readonly<Record<string, unknown>>): Promise<string> {
  const response = await fetch(`${world.chain.devnet.controlUrl}/lies`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { url: string }).url;
}

/** The gateway starts again, on the lying node alone. */
async function restartOnLiar(url: string, chain: Readonly<Record<string, unknown>> = {}): Promise<Program> {
  const config = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8')) as { chain: object };
  const changed = { ...config, chain: { ...config.chain, endpoints: [url], ...chain } };
  await writeFile(world.gatewayConfigFile, JSON.stringify(changed), { mode: 0o600 });
  await world.gateway.stop();
  return world.restartGateway();
}

const bytesOf = (id: string) => {
  const object = world.chain.devnet.ledger.objects.get(id);
  if (object?.kind !== 'move') throw new Error(`there is no object ${id}`);
  return object.contents;
};
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

function forgedRecord(change: object): string {
  return base64(StakeRecord.serialize({ ...StakeRecord.parse(bytesOf(recordId)), ...change }).toBytes());
}

test('evicts no node for a slash that its only full node forges', SLOW, async () => {
  const url = await lie({
    forge: [{ id: recordId, contents: forgedRecord({ status: 2, slashReason: 'forged' }) }],
  });
  const program = await restartOnLiar(url);
  const said = (fields: Record<string, unknown>) => fields.objectId === recordId;
  await program.line('the forged record to be refused', said);
  expect(await world.node('worker-1')).toMatchObject({ uid, isReady: true });
  await lie({ honest: true });
});

test('admits no stake that its only full node invents', async () => {
  const nodeKey = newNodeKey();
  const invented = { record: `0x${'e'.repeat(64)}`, token: `0x${'f'.repeat(64)}` };
  const record = forgedRecord({ id: invented.record, nodeId: 'never-staked', token: invented.token });
  const token = SealToken.serialize({
    ...SealToken.parse(bytesOf(tokenId)),
    id: invented.token,
    stakeId: invented.record,
    nodeId: 'never-staked',
    holderKey: nodeKey.publicKey,
  });
  await lie({
    forge: [
      { id: recordId, as: invented.record, contents: record },
      { id: tokenId, as: invented.token, contents: base64(token.toBytes()) },
    ],
  });
  const stranger: Stakeholder = {
    nodeId: 'never-staked',
    wallet: Ed25519Keypair.generate(),
    nodeKey,
    password: '',
    passwordHash: `$1:${'0'.repeat(16)}:15:8:1:${'A'.repeat(86)}`,
    recordId: invented.record,
    tokenId: invented.token,
    tokenHash: '',
  };
  expect(await register(gateway, stranger)).toMatchObject({
    status: 401,
    body: { code: 'seal_token_invalid' },
  });
  expect(await world.node('worker-1')).toMatchObject({ uid });
  await lie({ honest: true });
});

test('evicts a node for a slash that its only full node hides, once it pays for a probe', SLOW, async () => {
  const { clusterId } = world.chain.deployment;
  const url = await lie({ hide: [recordId, clusterId] });
  await world.slash(recordId, 2n * SUI, 'real');
  const { keyFile } = await world.chain.wallet(5n);
  await restartOnLiar(url, { probe: { mode: 'every', everyMs: 300_000, keyFile } });
  // A probe that brought nothing is sent again after a minute.
  await world.nodeGone('worker-1', 150_000);
  const nodes = await world.command(
    'gateway',
    'nodes',
    '--socket',
    join(world.directory, 'gateway', 'state', 'operator.sock'),
  );
  expect(nodes.tail).toMatch(/probes every 5 min: the last one was/);
});
