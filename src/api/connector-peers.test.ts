import { createServer as createPlainServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  challengeReply,
  closeAfterEach,
  closing,
  connectTo,
  gatewayAt,
  heartbeat,
  otherTls,
  reply,
  serve,
  tls,
} from './connector.fixture.ts';
import { spkiPin } from './tls.ts';

closeAfterEach();

describe('to whom it is sent', () => {
  test('not one byte to a gateway with another TLS key than the chain names', async () => {
    const server = await serve(reply(200, challengeReply));
    await using connection = connectTo(gatewayAt(server.url, [spkiPin(otherTls.cert)]));
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_PIN_MISMATCH',
      isRetryable: false,
    });
    expect([server.bytes(), server.seen.length]).toEqual([0, 0]);
  });

  test('either of two pins will do, so that a key can be changed', async () => {
    const server = await serve(reply(200, challengeReply));
    await using connection = connectTo(gatewayAt(server.url, [spkiPin(otherTls.cert), spkiPin(tls.cert)]));
    await connection.challenge({ nodeId: 'worker-1', staker: '0x1' });
  });

  test('a pin holds although nobody certified the key and the name is another', async () => {
    const server = await serve(reply(200, challengeReply));
    await using connection = connectTo(gatewayAt(server.url.replace('127.0.0.1', 'localhost')));
    await connection.challenge({ nodeId: 'worker-1', staker: '0x1' });
  });

  test('without a pin the configured CA decides', async () => {
    const server = await serve(reply(200, challengeReply));
    await using good = connectTo(gatewayAt(server.url, []), { ca: tls.cert });
    await good.challenge({ nodeId: 'worker-1', staker: '0x1' });
    await using bad = connectTo(gatewayAt(server.url, []), { ca: otherTls.cert });
    await expect(bad.challenge({ nodeId: 'worker-1', staker: '0x1' })).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_UNREACHABLE',
    });
    expect(server.seen).toHaveLength(1);
  });

  test('with neither, nobody is spoken to', () => {
    expect(() => connectTo(gatewayAt('https://127.0.0.1:1', []))).toThrow(/no TLS pin on chain/);
  });

  test.each(['http://127.0.0.1:1', 'ftp://x', 'garbage', ''])('never without TLS (%s)', (url) => {
    expect(() => connectTo(gatewayAt(url))).toThrow(/only https/);
  });

  test('never with a TLS older than 1.3', async () => {
    const server = await serve(reply(200, challengeReply), { maxVersion: 'TLSv1.2' });
    await using connection = connectTo(gatewayAt(server.url));
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_UNREACHABLE',
    });
    expect(server.bytes()).toBe(0);
  });

  test('a server that does not speak TLS gets no request', async () => {
    let requests = 0;
    const server = createPlainServer(() => {
      requests += 1;
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    closing.push(() => new Promise((resolve) => server.close(() => resolve())));
    const { port } = server.address() as AddressInfo;
    await using connection = connectTo(gatewayAt(`https://127.0.0.1:${port}`));
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_UNREACHABLE',
    });
    expect(requests).toBe(0);
  });
});
