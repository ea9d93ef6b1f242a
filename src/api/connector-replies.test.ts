import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { parseProof } from '#seal';
import {
  challenge,
  challengeReply,
  closeAfterEach,
  closing,
  connectTo,
  freePort,
  gatewayAt,
  heartbeat,
  heartbeatReply,
  problem,
  registerReply,
  registration,
  reply,
  sealTokenId,
  serve,
  timestamp,
} from './connector.fixture.ts';
import { PROBLEMS } from './problems.ts';
import { PATHS } from './wire.ts';

closeAfterEach();

describe('what comes back', () => {
  test.each(Object.entries(PROBLEMS))('problem %s', async (code, kind) => {
    const server = await serve(reply(kind.status, problem(code, kind.status), { 'retry-after': '3' }));
    await using connection = connectTo(gatewayAt(server.url));
    await expect(connection.register(registration)).rejects.toMatchObject({
      code: `DAAS_GATEWAY_${code.toUpperCase()}`,
      isRetryable: kind.isRetryable,
      exitCode: kind.exitCode,
      details: { status: kind.status, reason: code, requestId: 'r1', retryAfterMs: 3_000 },
    });
  });

  test.each([
    ['seal_token_invalid', 'accepted', true],
    ['record_not_found', 'accepted', true],
    ['record_not_found', 'known', false],
  ] as const)(
    '%s: the gateway is shown the proofs of the stake once, which are %s there',
    async (code, status, isRetryable) => {
      const server = await serve((seen, response) =>
        seen.request.url === PATHS.chainProof
          ? reply(200, { status, objects: [] })(seen, response)
          : reply(PROBLEMS[code].status, problem(code, PROBLEMS[code].status))(seen, response),
      );
      const asked: string[] = [];
      const stakeProofs = async (id: string) => {
        asked.push(id);
        return ['{"proof":"of the token"}', '{"proof":"of the record"}'];
      };
      await using connection = connectTo(gatewayAt(server.url), { stakeProofs });
      const refused = { code: `DAAS_GATEWAY_${code.toUpperCase()}` };
      await expect(connection.register(registration)).rejects.toMatchObject({ ...refused, isRetryable });
      await expect(connection.register(registration)).rejects.toMatchObject({
        ...refused,
        isRetryable: false,
      });
      expect(asked).toEqual([registration.sealTokenId]);
      expect(server.seen.map(({ request }) => request.url)).toEqual([
        PATHS.register,
        PATHS.chainProof,
        PATHS.chainProof,
        PATHS.register,
      ]);
      expect(server.seen[1]?.body).toBe('{"proof":"of the token"}');
      // Nothing of the host goes there: the route is open to anybody.
      expect(server.seen[1]?.request.headers['x-seal-token']).toBeUndefined();
    },
  );

  test('a gateway that takes no proofs refuses as before', async () => {
    const code = 'seal_token_invalid';
    const server = await serve(reply(401, problem(code, 401)));
    await using connection = connectTo(gatewayAt(server.url), { stakeProofs: async () => ['{}'] });
    await expect(connection.register(registration)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID',
      isRetryable: false,
    });
  });

  test('a problem of a newer gateway is an error with its code', async () => {
    const server = await serve(reply(418, problem('short_and_stout', 418)));
    await using connection = connectTo(gatewayAt(server.url));
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_SHORT_AND_STOUT',
      isRetryable: false,
    });
  });

  test.each([
    ['another 200', 200, { status: 'fine' }, false],
    ['an empty object', 200, {}, false],
    ['a proxy’s page', 502, '<html>', true],
    ['a 401 without a problem', 401, {}, false],
    ['a redirect', 302, {}, false],
  ])('%s is not a gateway’s answer', async (_what, status, body, isRetryable) => {
    const server = await serve(reply(status, body, { location: 'https://elsewhere/' }));
    await using connection = connectTo(gatewayAt(server.url));
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_REPLY_INVALID',
      isRetryable,
    });
    expect(server.seen).toHaveLength(1);
  });

  test('a reply without end is cut off', async () => {
    const server = await serve((_seen, response) => {
      const chunk = 'x'.repeat(64 * 1024);
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    });
    await using connection = connectTo(gatewayAt(server.url));
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_UNREACHABLE',
    });
  });

  describe('to one who wants to listen', () => {
    const listening = { challenge, sealTokenId, onOpen: () => undefined, onChange: () => undefined };
    const { signal } = new AbortController();

    test('a refusal says when to come back', async () => {
      const server = await serve(reply(503, problem('overloaded', 503), { 'retry-after': '60' }));
      await using connection = connectTo(gatewayAt(server.url));
      await expect(connection.events?.(listening, signal)).rejects.toMatchObject({
        code: 'DAAS_GATEWAY_OVERLOADED',
        details: { retryAfterMs: 60_000 },
      });
    });

    test('a refusal that does not end is not waited for', async () => {
      const server = await serve((_seen, response) => {
        response.writeHead(503).write('{');
      });
      await using connection = connectTo(gatewayAt(server.url), { timeoutMs: 300 });
      await expect(connection.events?.(listening, signal)).rejects.toMatchObject({
        code: 'DAAS_GATEWAY_TIMEOUT',
      });
    });
  });

  describe('a kept connection', () => {
    test('carries the next requests, and the gateway’s key is looked at once', async () => {
      const server = await serve((seen, response) =>
        reply(200, seen.request.method === 'GET' ? challengeReply : heartbeatReply)(seen, response),
      );
      await using connection = connectTo(gatewayAt(server.url));
      await connection.challenge({ nodeId: 'worker-1', staker: '0x1' });
      await connection.heartbeat(heartbeat);
      await connection.heartbeat({ ...heartbeat, sequence: 8 });
      expect(new Set(server.seen.map(({ request }) => request.socket.remotePort)).size).toBe(1);
    });

    test('is not used for longer than the gateway keeps it', async () => {
      const server = await serve(reply(200, heartbeatReply, { 'keep-alive': 'timeout=1' }));
      await using connection = connectTo(gatewayAt(server.url));
      await connection.heartbeat(heartbeat);
      await connection.heartbeat({ ...heartbeat, sequence: 8 });
      expect(new Set(server.seen.map(({ request }) => request.socket.remotePort)).size).toBe(2);
    });

    test('that the gateway closes under a proof is an error of its own: the proof is not sent again', async () => {
      const server = await serve((seen, response) => {
        if (server.seen.length === 1) reply(200, heartbeatReply)(seen, response);
        else seen.request.socket.destroy();
      });
      await using connection = connectTo(gatewayAt(server.url));
      await connection.heartbeat(heartbeat);
      await expect(connection.heartbeat({ ...heartbeat, sequence: 8 })).rejects.toMatchObject({
        code: 'DAAS_GATEWAY_CONNECTION_LOST',
        isRetryable: true,
      });
      expect(server.seen).toHaveLength(2);
    });

    test('that leads nowhere is given up while there is time for another', async () => {
      const server = await serve((seen, response) => {
        if (server.seen.length !== 2) reply(200, heartbeatReply)(seen, response);
      });
      await using connection = connectTo(gatewayAt(server.url), { timeoutMs: 1_000 });
      await connection.heartbeat(heartbeat);
      await expect(connection.heartbeat({ ...heartbeat, sequence: 8 })).rejects.toMatchObject({
        code: 'DAAS_GATEWAY_CONNECTION_LOST',
      });
      await connection.heartbeat({ ...heartbeat, sequence: 9 });
      expect(server.seen).toHaveLength(3);
    });

    test('is not given up while a registration is in work', async () => {
      const server = await serve((seen, response) => {
        if (seen.request.method === 'GET') reply(200, challengeReply)(seen, response);
        else setTimeout(() => reply(200, registerReply)(seen, response), 700);
      });
      await using connection = connectTo(gatewayAt(server.url), { timeoutMs: 1_300 });
      await connection.challenge({ nodeId: 'worker-1', staker: '0x1' });
      expect(await connection.register(registration)).toMatchObject({ incarnation: 4 });
    });

    test('that was closed does not keep a challenge from being asked for: it changes nothing', async () => {
      const server = await serve((seen, response) => {
        if (server.seen.length === 2) seen.request.socket.destroy();
        else reply(200, challengeReply)(seen, response);
      });
      await using connection = connectTo(gatewayAt(server.url));
      await connection.challenge({ nodeId: 'worker-1', staker: '0x1' });
      expect(await connection.challenge({ nodeId: 'worker-1', staker: '0x1' })).toMatchObject({
        nonce: 'n0nce',
      });
      expect(server.seen).toHaveLength(3);
    });
  });

  test('silence ends with a time-out', async () => {
    const server = await serve(() => undefined);
    await using connection = connectTo(gatewayAt(server.url), { timeoutMs: 200 });
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_TIMEOUT',
      isRetryable: true,
    });
  });

  test('a server that accepts and never shakes hands ends with a time-out', async () => {
    const { createServer: createTcpServer } = await import('node:net');
    const sockets: Array<{ destroy(): void }> = [];
    const server = createTcpServer((socket) => {
      sockets.push(socket);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    closing.push(
      () =>
        new Promise((resolve) => {
          for (const socket of sockets) socket.destroy();
          server.close(() => resolve());
        }),
    );
    const { port } = server.address() as AddressInfo;
    await using connection = connectTo(gatewayAt(`https://127.0.0.1:${port}`), { timeoutMs: 200 });
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_TIMEOUT',
    });
  });

  test('nobody there is a retryable error', async () => {
    const port = await freePort();
    await using connection = connectTo(gatewayAt(`https://127.0.0.1:${port}`));
    await expect(connection.heartbeat(heartbeat)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_UNREACHABLE',
      isRetryable: true,
    });
  });

  test('the caller’s abort comes back as the caller’s own reason', async () => {
    const server = await serve(() => undefined);
    await using connection = connectTo(gatewayAt(server.url));
    const reason = new Error('the host stops');
    const controller = new AbortController();
    const asked = connection.heartbeat(heartbeat, controller.signal);
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await expect(connection.heartbeat(heartbeat, controller.signal)).rejects.toBe(reason);
  });

  test('the gateway’s clock is learnt from its refusals too', async () => {
    const server = await serve(reply(401, problem('seal_token_invalid', 401)));
    await using connection = connectTo(gatewayAt(server.url));
    await expect(connection.heartbeat(heartbeat)).rejects.toThrow();
    await expect(connection.heartbeat(heartbeat)).rejects.toThrow();
    const issued = server.seen.map(({ request }) => {
      const outcome = parseProof(String(request.headers['x-seal-token']));
      return outcome.ok ? outcome.proof.issuedAtMs : 0;
    });
    expect(issued[0]).toBeLessThan(timestamp);
    expect(issued[1]).toBeGreaterThanOrEqual(timestamp);
  });
});
