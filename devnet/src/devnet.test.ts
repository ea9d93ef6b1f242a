import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RpcError, SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
import { describe, expect, test } from 'vitest';
import { type DevnetOptions, startDevnet } from './devnet.ts';
import { RpcStatus } from './rpc-error.ts';

/** Any package that only uses the framework. */
const build = JSON.parse(readFileSync(join(import.meta.dirname, 'lifecycle.build.json'), 'utf8')) as {
  modules: Record<string, string>;
};

const clientOf = (url: string, format: 'binary' | 'text' = 'binary') =>
  new SuiGrpcClient({ network: 'devnet', baseUrl: url, format });

const start = (options: DevnetOptions = {}) => startDevnet({ checkpointIntervalMs: 0, ...options });

interface Status {
  readonly chainId: string;
  readonly epoch: string;
  readonly timestampMs: number;
}

const statusOf = async (response: Response): Promise<Status> => (await response.json()) as Status;

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

describe('starting and stopping', () => {
  test('every chain has an id of its own, the same as long as it runs', async () => {
    await using one = await start();
    await using other = await start();
    expect(one.chainId).not.toBe(other.chainId);
    const { chainIdentifier } = await clientOf(one.url).core.getChainIdentifier();
    expect(chainIdentifier).toBe(one.chainId);
  });

  test('a port that is taken is an error that names it', async () => {
    await using one = await start();
    const port = Number(new URL(one.url).port);
    await expect(start({ listen: { port } })).rejects.toMatchObject({
      code: 'DAAS_DEVNET_LISTEN',
      message: expect.stringContaining(String(port)),
    });
  });

  test('closing ends open streams, and closing twice is once', async () => {
    const devnet = await start();
    const call = clientOf(devnet.url).subscriptionService.subscribeCheckpoints({});
    await call.headers;
    await devnet.close();
    await devnet.close();
    await expect(
      (async () => {
        for await (const _ of call.responses);
      })(),
    ).rejects.toBeInstanceOf(RpcError);
  });
});

describe('time', () => {
  const readClock = async (url: string): Promise<number> => {
    const { object } = await clientOf(url).getObject({ objectId: '0x6', include: { json: true } });
    return Number(object.json?.timestamp_ms);
  };

  test('the chain’s Clock follows the clock it is given and what is advanced', async () => {
    let nowMs = 1_000;
    await using devnet = await start({
      clock: {
        nowMs: () => nowMs,
        monotonicMs: () => nowMs,
        sleep: () => new Promise(() => undefined),
      },
    });
    expect(await readClock(devnet.url)).toBe(1_000);
    devnet.advanceClock(500);
    expect(await readClock(devnet.url)).toBe(1_500);
    nowMs = 2_000;
    devnet.advanceClock(0);
    expect(await readClock(devnet.url)).toBe(2_500);
  });

  test('time never runs backwards', async () => {
    let nowMs = 5_000;
    await using devnet = await start({
      clock: {
        nowMs: () => nowMs,
        monotonicMs: () => nowMs,
        sleep: () => new Promise(() => undefined),
      },
    });
    nowMs = 1_000;
    devnet.advanceClock(0);
    expect(await readClock(devnet.url)).toBe(5_000);
    expect(() => devnet.advanceClock(-1)).toThrow(RangeError);
  });

  test('a frozen Clock moves by hand only', async () => {
    await using devnet = await start();
    devnet.freezeClock();
    devnet.advanceClock(0);
    const before = await readClock(devnet.url);
    devnet.advanceClock(7);
    expect(await readClock(devnet.url)).toBe(before + 7);
    devnet.thawClock();
    devnet.advanceClock(0);
    expect(await readClock(devnet.url)).toBeGreaterThanOrEqual(before + 7);
  });

  test('checkpoints come by themselves at the interval', async () => {
    const waiting: Array<() => void> = [];
    await using devnet = await startDevnet({
      checkpointIntervalMs: 250,
      clock: {
        nowMs: () => 1,
        monotonicMs: () => 1,
        sleep: (delayMs) =>
          new Promise((resolve) => {
            expect(delayMs).toBe(250);
            waiting.push(resolve);
          }),
      },
    });
    const height = devnet.ledger.tip.sequenceNumber;
    waiting.shift()?.();
    await new Promise<void>((resolve) => {
      devnet.ledger.onCheckpoint(() => resolve());
    });
    expect(devnet.ledger.tip.sequenceNumber).toBe(height + 1n);
  });
});

describe('control over HTTP', () => {
  test('shows the state, turns the clock, ends the epoch and gives money', async () => {
    await using devnet = await start();
    const status = await statusOf(await fetch(`${devnet.url}/devnet/status`));
    expect(status).toMatchObject({ chainId: devnet.chainId, epoch: '0' });
    const later = await statusOf(
      await post(`${devnet.url}/devnet/clock`, { advanceMs: 60_000, freeze: true }),
    );
    expect(later.timestampMs - status.timestampMs).toBeGreaterThanOrEqual(60_000);
    expect(await (await post(`${devnet.url}/devnet/epoch`, {})).json()).toMatchObject({ epoch: '1' });
    const recipient = Ed25519Keypair.generate().toSuiAddress();
    await post(`${devnet.url}/devnet/faucet`, { recipient, mist: '12345' });
    const { balance } = await clientOf(devnet.url).getBalance({ owner: recipient });
    expect(balance.balance).toBe('12345');
  });

  test('starts a node that lies as it is told, and tells the truth again', async () => {
    await using devnet = await start();
    const lies = `${devnet.url}/devnet/lies`;
    const answer = await post(lies, { absent: ['0x6'] });
    const { url } = (await answer.json()) as { url: string };
    const read = async (from: string) =>
      (await clientOf(from).core.getObjects({ objectIds: ['0x6'] })).objects[0] instanceof Error;
    expect([await read(url), await read(devnet.url)]).toEqual([true, false]);
    expect(await (await post(lies, { honest: true })).json()).toEqual({ url });
    expect(await read(url)).toBe(false);
    expect((await post(lies, { forge: [{ id: '0xabc', contents: '' }] })).status).toBe(400);
    expect((await post(lies, { lie: true })).status).toBe(400);
  });

  test('refuses what it does not understand', async () => {
    await using devnet = await start();
    expect((await post(`${devnet.url}/devnet/clock`, { advanceMs: -1 })).status).toBe(400);
    expect((await post(`${devnet.url}/devnet/clock`, { advance: 1 })).status).toBe(400);
    expect((await post(`${devnet.url}/devnet/nothing`, {})).status).toBe(404);
    expect((await fetch(`${devnet.url}/nothing`)).status).toBe(404);
    expect((await post(`${devnet.url}/devnet/epoch`, {}, { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post(`${devnet.url}/v2/gas`, { FixedAmountRequest: {} })).status).toBe(400);
    expect((await post(`${devnet.url}/v2/gas`, 'x'.repeat(100_000))).status).toBe(400);
  });

  test('is healthy', async () => {
    await using devnet = await start();
    const response = await fetch(`${devnet.url}/health`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status: 'ok', chainId: devnet.chainId });
  });
});

describe('the wire', () => {
  test('speaks text as well as binary', async () => {
    await using devnet = await start();
    const client = clientOf(devnet.url, 'text');
    const signer = Ed25519Keypair.generate();
    await devnet.faucet(signer.toSuiAddress(), 1_000_000_000n);
    const transaction = new Transaction();
    transaction.transferObjects([transaction.splitCoins(transaction.gas, [1n])], signer.toSuiAddress());
    const { $kind } = await client.signAndExecuteTransaction({ transaction, signer });
    expect($kind).toBe('Transaction');
    await expect(client.getObject({ objectId: '0xdead' })).rejects.toThrow(/not found/);
  });

  test('a body that is no message, or too long, is refused and the server lives', async () => {
    await using devnet = await start();
    const url = `${devnet.url}/sui.rpc.v2.LedgerService/GetObject`;
    const send = async (body: Buffer) =>
      (
        await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/grpc-web+proto' },
          body: Uint8Array.from(body),
        })
      ).headers.get('grpc-status');
    expect(await send(Buffer.from('garbage'))).toBe('13');
    expect(await send(Buffer.from([0, 0, 0, 0, 3, 0xff, 0xff, 0xff]))).toBe('13');
    expect(await send(Buffer.alloc(5 * 1024 * 1024))).toBe('11');
    expect((await fetch(`${devnet.url}/health`)).status).toBe(200);
  });

  test('a middleware may fail a call, or answer in its place', async () => {
    await using devnet = await start({
      middleware: ({ method }, next) => {
        if (method.endsWith('/GetEpoch')) throw new RpcStatus(14, 'try another node');
        if (method.endsWith('/GetServiceInfo')) return { chainId: 'another chain' };
        return next();
      },
    });
    const client = clientOf(devnet.url);
    await expect(client.core.getReferenceGasPrice()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'try another node',
    });
    expect((await client.core.getChainIdentifier()).chainIdentifier).toBe('another chain');
    expect((await client.getObject({ objectId: '0x6' })).object.objectId).toMatch(/6$/);
  });
});

describe('packages', () => {
  test('the same package can be published twice, under two ids', async () => {
    await using devnet = await start();
    const client = clientOf(devnet.url);
    const signer = Ed25519Keypair.generate();
    await devnet.faucet(signer.toSuiAddress());
    const ids = [await publish(client, signer), await publish(client, signer)];
    expect(ids[0]).not.toBe(ids[1]);
  });

  test('modules that are none, and modules compiled for an address, are refused as a node refuses them', async () => {
    await using devnet = await start();
    const client = clientOf(devnet.url);
    const signer = Ed25519Keypair.generate();
    await devnet.faucet(signer.toSuiAddress());
    const packageId = await publish(client, signer);
    const { package: published } = await client.movePackageService.getPackage({ packageId }).response;
    const placed = published?.modules[0]?.contents ?? new Uint8Array();
    for (const [modules, reason] of [
      [[Buffer.from('nonsense').toString('base64')], /Verification/],
      [[Buffer.from(placed).toString('base64')], /Non-zero/],
    ] as const) {
      const transaction = new Transaction();
      const cap = transaction.publish({ modules: [...modules], dependencies: ['0x1', '0x2'] });
      transaction.transferObjects([cap], signer.toSuiAddress());
      await expect(client.signAndExecuteTransaction({ transaction, signer })).rejects.toThrow(reason);
    }
    const transaction = new Transaction();
    const cap = transaction.publish({ modules: Object.values(build.modules), dependencies: ['0x1'] });
    transaction.transferObjects([cap], signer.toSuiAddress());
    await expect(client.signAndExecuteTransaction({ transaction, signer })).rejects.toThrow(/dependency/i);
  });

  async function publish(client: SuiGrpcClient, signer: Ed25519Keypair): Promise<string> {
    const transaction = new Transaction();
    const cap = transaction.publish({
      modules: Object.values(build.modules),
      dependencies: ['0x1', '0x2'],
    });
    transaction.transferObjects([cap], signer.toSuiAddress());
    const result = await client.signAndExecuteTransaction({
      transaction,
      signer,
      include: { effects: true },
    });
    const pack = result.Transaction?.effects?.changedObjects.find(
      ({ outputState }) => outputState === 'PackageWrite',
    );
    return pack?.objectId ?? '';
  }
});
