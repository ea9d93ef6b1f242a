import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GrpcTypes } from '@mysten/sui/grpc';
import { afterEach, describe, expect, test } from 'vitest';
import { Lifetime, systemClock } from '#base';
import { openEndpoints } from './endpoint.ts';

const CHAIN = '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S';
let life = new Lifetime();
afterEach(async () => {
  await life.close();
  life = new Lifetime();
});

/** A node that answers GetServiceInfo as told; `handle` may do anything else. */
async function node(handle: (response: ServerResponse, request: IncomingMessage) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => handle(response, request));
  });
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  life.defer('node', () => {
    server.closeAllConnections();
    return new Promise((done) => {
      server.close(done);
    });
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function frame(flag: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

function answer(response: ServerResponse, chainId: string, header?: string): void {
  response.writeHead(200, {
    'content-type': 'application/grpc-web+proto',
    ...(header && { 'x-sui-chain-id': header }),
  });
  const message = GrpcTypes.GetServiceInfoResponse.create({ chainId, epoch: 3n });
  response.end(
    Buffer.concat([
      frame(0, GrpcTypes.GetServiceInfoResponse.toBinary(message)),
      frame(0x80, Buffer.from('grpc-status: 0\r\n')),
    ]),
  );
}

function fail(response: ServerResponse, status: number, message: string): void {
  response.writeHead(200, { 'content-type': 'application/grpc-web+proto' });
  response.end(frame(0x80, Buffer.from(`grpc-status: ${status}\r\ngrpc-message: ${message}\r\n`)));
}

function open(urls: string[], options: { retryForMs?: number; timeoutMs?: number } = {}) {
  return openEndpoints(urls, { chainId: CHAIN, timeoutMs: 1_000, clock: systemClock, ...options });
}

async function epoch(endpoints: ReturnType<typeof open>, signal?: AbortSignal): Promise<bigint | undefined> {
  return endpoints.read(
    'the epoch',
    async (client, ended) => (await client.ledgerService.getServiceInfo({}, { abort: ended })).response.epoch,
    signal,
  );
}

describe('reads', () => {
  test('go to the next endpoint when one is away, and stay there', async () => {
    let asked = 0;
    const dead = await node((response) => {
      asked += 1;
      response.destroy();
    });
    const alive = await node((response) => answer(response, CHAIN));
    const endpoints = open([dead, alive]);
    expect(await epoch(endpoints)).toBe(3n);
    expect(await epoch(endpoints)).toBe(3n);
    expect(asked).toBe(1);
  });

  test('that nobody answers end as unavailable, which is retryable and names the URL', async () => {
    const dead = await node((response) => response.destroy());
    await expect(epoch(open([dead]))).rejects.toMatchObject({
      code: 'DAAS_CHAIN_UNAVAILABLE',
      isRetryable: true,
      message: expect.stringContaining(dead),
    });
  });

  test.each([403, 404, 412, 502])(
    'a proxy that answers %i in place of its node says nothing about the chain, and the next endpoint is asked',
    async (status) => {
      const proxy = await node((response) => response.writeHead(status).end('<html>'));
      const alive = await node((response) => answer(response, CHAIN));
      expect(await epoch(open([proxy, alive]))).toBe(3n);
      await expect(epoch(open([proxy]))).rejects.toMatchObject({
        code: 'DAAS_CHAIN_UNAVAILABLE',
        isRetryable: true,
      });
    },
  );

  test('are tried again until the deadline', async () => {
    let asked = 0;
    const flaky = await node((response) => {
      asked += 1;
      if (asked < 4) fail(response, 14, 'overloaded');
      else answer(response, CHAIN);
    });
    expect(await epoch(open([flaky], { retryForMs: 10_000 }))).toBe(3n);
  });

  test('of a node that never answers end with the time-out', async () => {
    const silent = await node(() => undefined);
    await expect(epoch(open([silent], { timeoutMs: 50 }))).rejects.toMatchObject({
      code: 'DAAS_CHAIN_UNAVAILABLE',
    });
  });

  test('end with the caller’s own reason when the caller aborts', async () => {
    const silent = await node(() => undefined);
    const ended = new AbortController();
    const reading = epoch(open([silent], { timeoutMs: 10_000 }), ended.signal);
    ended.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });

  test('a refusal is not tried elsewhere: the answer would be the same', async () => {
    const refusing = await node((response) => fail(response, 3, 'bad request'));
    let asked = 0;
    const other = await node((response) => {
      asked += 1;
      answer(response, CHAIN);
    });
    await expect(epoch(open([refusing, other], { retryForMs: 5_000 }))).rejects.toMatchObject({
      code: 'DAAS_CHAIN_REFUSED',
      isRetryable: false,
    });
    expect(asked).toBe(0);
  });
});

describe('another chain', () => {
  const other = '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD';

  test('is a configuration error that names both chains, and no other endpoint is asked', async () => {
    const wrong = await node((response) => answer(response, other));
    const right = await node((response) => answer(response, CHAIN));
    await expect(epoch(open([wrong, right], { retryForMs: 5_000 }))).rejects.toMatchObject({
      code: 'DAAS_CHAIN_ID_MISMATCH',
      exitCode: 78,
      details: { expected: CHAIN, actual: other },
    });
  });

  test('is noticed at the next reply when it comes up behind the same address', async () => {
    let serves = CHAIN;
    const changing = await node((response) => answer(response, serves, serves));
    const endpoints = open([changing]);
    expect(await epoch(endpoints)).toBe(3n);
    serves = other;
    await expect(epoch(endpoints)).rejects.toMatchObject({ code: 'DAAS_CHAIN_ID_MISMATCH' });
  });
});

test.each(['localhost:9000', 'ftp://a', '', 'https://user:pass@a/', 'https://a/?key=1'])(
  '%j is no endpoint',
  (address) => {
    expect(() => open([address])).toThrow(
      expect.objectContaining({
        code: 'DAAS_ENDPOINT_INVALID',
        exitCode: 78,
        message: expect.not.stringMatching(/pass|key=1/),
      }),
    );
  },
);

test('no endpoint at all is a configuration error', () => {
  expect(() => open([])).toThrow(expect.objectContaining({ code: 'DAAS_ENDPOINT_MISSING', exitCode: 78 }));
});
