import { createHash } from 'node:crypto';
import { bcs } from '@mysten/sui/bcs';
import { Transaction } from '@mysten/sui/transactions';
import { beforeAll, describe, expect, test } from 'vitest';
import { actorKey } from './scenario.ts';
import { openStage } from './stage.ts';

/** A document as the chain's native hands it on; the dev chain takes its BCS for the signed bytes. */
const Document = bcs.struct('NitroAttestationDocument', {
  moduleId: bcs.byteVector(),
  timestamp: bcs.u64(),
  digest: bcs.byteVector(),
  pcrs: bcs.vector(bcs.struct('PCREntry', { index: bcs.u8(), value: bcs.byteVector() })),
  publicKey: bcs.option(bcs.byteVector()),
  userData: bcs.option(bcs.byteVector()),
  nonce: bcs.option(bcs.byteVector()),
});
const register = (index: number, byte: number) => ({ index, value: new Uint8Array(48).fill(byte) });
/** Out of order, and with registers between: they are found by their index. */
const PCRS = [register(4, 9), register(2, 3), register(0, 1), register(3, 9), register(1, 2)];
const KEY = new Uint8Array(32).fill(7);
const MEASUREMENT = createHash('sha256')
  .update(new Uint8Array([1, 2, 3].flatMap((byte) => Array<number>(48).fill(byte))))
  .digest();
const admin = actorKey('admin');

describe('an attestation', () => {
  let stage: Awaited<ReturnType<typeof openStage>>;
  let cluster = '';
  let gateway = '';

  beforeAll(async () => {
    stage = await openStage();
    await stage.fund(admin.toSuiAddress(), 100_000_000_000n);
    await stage.setTime({ atMs: 1_000, epoch: 0 });
    ({ cluster, gateway } = await clusterWithGateway());
    return () => stage[Symbol.asyncDispose]();
  }, 120_000);

  test('is read register by register and kept with its key', async () => {
    const [event] = await attest({ pcrs: PCRS, publicKey: KEY });
    expect(event?.eventType).toMatch(/::cluster::GatewayAttested$/);
    const { object } = await stage.client.getObject({ objectId: cluster, include: { json: true } });
    const [stored] = (object.json as { gateways: Array<{ attestation: unknown }> }).gateways;
    expect(stored?.attestation).toEqual({
      enclave_key: Buffer.from(KEY).toString('base64'),
      attested_at_ms: '1000',
      expires_at_ms: '604801000',
    });
  });

  test.each([
    [
      'whose image is another',
      PCRS.map((pcr) => (pcr.index === 1 ? register(1, 8) : pcr)),
      KEY,
      'EMeasurementDiffers',
    ],
    ['in debug mode', PCRS.map((pcr) => (pcr.index === 0 ? register(0, 0) : pcr)), KEY, 'EDebugEnclave'],
    ['without its first register', PCRS.filter(({ index }) => index !== 0), KEY, 'EDebugEnclave'],
    ['without its last register', PCRS.filter(({ index }) => index !== 2), KEY, 'EMeasurementDiffers'],
    ['without a key', PCRS, null, 'EEnclaveKey'],
  ])('of an enclave %s is refused', async (_what, pcrs, publicKey, error) => {
    await expect(attest({ pcrs, publicKey })).rejects.toThrow(error);
  });

  test('no newer than the stored one is refused', async () => {
    await expect(attest({ pcrs: PCRS, publicKey: KEY })).rejects.toThrow('EDocumentNotNewer');
  });

  test('that the native cannot read is refused by the native', async () => {
    await expect(attestBytes(Uint8Array.of(1, 2, 3))).rejects.toThrow(/nitro_attestation|code: 1/i);
  });

  function attest({ pcrs, publicKey }: { pcrs: typeof PCRS; publicKey: Uint8Array | null }) {
    const rest = { moduleId: [], timestamp: 1_000, digest: [], userData: null, nonce: null };
    return attestBytes(Document.serialize({ ...rest, pcrs, publicKey }).toBytes());
  }

  async function attestBytes(bytes: Uint8Array) {
    const tx = new Transaction();
    const document = tx.moveCall({
      target: '0x2::nitro_attestation::load_nitro_attestation',
      arguments: [tx.pure.vector('u8', bytes), tx.object.clock()],
    });
    tx.moveCall({
      target: `${stage.packageId}::attestation::register_attestation`,
      arguments: [tx.object(cluster), tx.pure.id(gateway), document, tx.object.clock()],
    });
    return (await carryOut(tx)).events;
  }

  async function clusterWithGateway() {
    const { packageId } = stage;
    const tx = new Transaction();
    const address = admin.toSuiAddress();
    const parameters = tx.moveCall({
      target: `${packageId}::cluster::new_parameters`,
      arguments: [
        tx.pure.u64(1_000),
        tx.pure.u64(10),
        tx.pure.vector('u64', [100, 1_000, 10_000]),
        tx.pure(bcs.vector(bcs.vector(bcs.string())).serialize([['pods:read'], ['nodes:write'], ['*:*']])),
        ...[600_000, 100].map((value) => tx.pure.u64(value)),
        tx.pure.vector('address', [address]),
        ...[1, 60_000, 0].map((value) => tx.pure.u64(value)),
        tx.pure.address(address),
      ],
    });
    const made = tx.moveCall({ target: `${packageId}::cluster::create_cluster`, arguments: [parameters] });
    tx.moveCall({
      target: `${packageId}::cluster::register_gateway`,
      arguments: [
        made,
        tx.pure.string('https://enclave.example'),
        tx.pure(bcs.vector(bcs.byteVector()).serialize([])),
        tx.pure.string('nitro'),
        tx.pure.vector('u8', MEASUREMENT),
        tx.pure.vector('u8', KEY),
        tx.pure.u8(0),
      ],
    });
    tx.moveCall({ target: `${packageId}::cluster::share`, arguments: [made] });
    const { events } = await carryOut(tx);
    const registered = events.find(({ eventType }) => eventType.endsWith('::cluster::GatewayRegistered'));
    const ids = registered?.bcs.subarray(0, 64) ?? new Uint8Array(64);
    return { cluster: bcs.Address.parse(ids.subarray(0, 32)), gateway: bcs.Address.parse(ids.subarray(32)) };
  }

  async function carryOut(transaction: Transaction) {
    const { client } = stage;
    const executed = await client.signAndExecuteTransaction({
      transaction,
      signer: admin,
      include: { effects: true, events: true },
    });
    if (executed.$kind === 'FailedTransaction')
      throw new Error(JSON.stringify(executed.FailedTransaction.status));
    await client.waitForTransaction({ digest: executed.Transaction.digest });
    return executed.Transaction;
  }
});
