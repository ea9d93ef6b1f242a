import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bcs } from '@mysten/sui/bcs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { operations } from '#chain';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { type ChainWorld, startChainWorld } from './chain-world.ts';
import { runInProcess } from './run-command.ts';

/** The dev chain takes the BCS of a document for the bytes that an enclave signs. */
const Document = bcs.struct('NitroAttestationDocument', {
  moduleId: bcs.byteVector(),
  timestamp: bcs.u64(),
  digest: bcs.byteVector(),
  pcrs: bcs.vector(bcs.struct('PCREntry', { index: bcs.u8(), value: bcs.byteVector() })),
  publicKey: bcs.option(bcs.byteVector()),
  userData: bcs.option(bcs.byteVector()),
  nonce: bcs.option(bcs.byteVector()),
});
const REGISTERS = [1, 2, 3].map((byte) => new Uint8Array(48).fill(byte));
const MEASUREMENT = createHash('sha256').update(Buffer.concat(REGISTERS)).digest();
const ENCLAVE_KEY = new Uint8Array(32).fill(7);

let world: ChainWorld;
let gatewayId = '';
beforeAll(async () => {
  world = await startChainWorld();
  ({ gatewayId } = await operations.addGateway.execute(world.actor, {
    url: 'https://enclave.example',
    tlsPins: [],
    attestationKind: 'nitro',
    measurement: MEASUREMENT,
    signingKey: ENCLAVE_KEY,
    tier: 'basic',
  }));
  await writeFile(join(world.directory, 'deployment.json'), JSON.stringify(world.deployment));
});
afterAll(() => world?.[Symbol.asyncDispose]());

async function run(document: Uint8Array, ...flags: string[]): Promise<Record<string, unknown>> {
  const file = join(world.directory, 'document.bin');
  await writeFile(file, document);
  const { operator } = world;
  const args = ['cluster', 'gateway', 'register-attestation', gatewayId, '--document', file];
  const network = ['--endpoint', world.url, '--deployment', join(world.directory, 'deployment.json')];
  const key = ['--key-file', join(world.directory, `${operator.address.slice(2, 10)}.key`)];
  return JSON.parse(await runInProcess([clusterCommand], [...args, ...network, ...key, '--json', ...flags]));
}

const documentNow = () =>
  Document.serialize({
    moduleId: [],
    timestamp: world.devnet.status().timestampMs,
    digest: [],
    pcrs: REGISTERS.map((value, index) => ({ index, value })),
    publicKey: ENCLAVE_KEY,
    userData: null,
    nonce: null,
  }).toBytes();

test('an attestation is registered for a week, after a dry run that sends nothing', async () => {
  const chain = world.client;
  expect(await run(documentNow(), '--dry-run')).toMatchObject({ dryRun: true, gatewayId });
  const before = await chain.clusterState();
  expect(before.state.gateways[0]?.attestation).toBeUndefined();
  expect(await run(documentNow(), '--yes')).toMatchObject({
    gatewayId,
    measurement: MEASUREMENT.toString('hex'),
    enclaveKey: Buffer.from(ENCLAVE_KEY).toString('hex'),
  });
  expect((await chain.clusterState()).state.gateways[0]?.attestation).toMatchObject({
    enclaveKey: ENCLAVE_KEY,
  });
});

test('a file that can be no document is refused before anything is sent', async () => {
  for (const [size, why] of [
    [0, 'is empty'],
    [20_000, 'it is longer than 16384 bytes'],
  ] as const)
    await expect(run(new Uint8Array(size), '--yes')).rejects.toMatchObject({
      code: 'DAAS_EVIDENCE_UNREADABLE',
      message: expect.stringContaining(why),
    });
});
