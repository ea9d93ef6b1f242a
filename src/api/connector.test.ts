// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import * as x509 from '@peculiar/x509';
import { afterEach, describe, expect, test } from 'vitest';
import { Secret, systemClock } from '#base';
import type { GatewayEntry } from '#domain';
import type { Challenge } from '#plugin';
import { bodyDigest, createProofSigner, nodeKeyFromSeed, parseProof } from '#seal';
import { createGatewayConnector } from './connector.ts';
import { PROBLEMS } from './problems.ts';
import { spkiPin } from './tls.ts';

const tls = await makeTls();
const otherTls = await makeTls();
const key = nodeKeyFromSeed(new Secret(randomBytes(32).toString('hex')));
const signer = createProofSigner('worker-1', key);
const sealTokenId = `0x${'ab'.repeat(32)}`;
const timestamp = 1_900_000_000_000;

const closing: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Seen {
  readonly request: IncomingMessage;
  readonly body: string;
}

/** A gateway of a few lines: what it is sent is kept, what it answers is the test's. */
async function serve(
  answer: (seen: Seen, response: ServerResponse) => void,
  options: { maxVersion?: 'TLSv1.2'; key?: string; cert?: string } = {},
): Promise<{ url: string; seen: Seen[]; bytes: () => number }> {
  const seen: Seen[] = [];
  let bytes = 0;
  const { cert, key: tlsKey } = tls;
  const server: Server = createServer({ cert, key: tlsKey, ...options }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const one = { request, body: Buffer.concat(chunks).toString('utf8') };
      seen.push(one);
      answer(one, response);
    });
  });
  server.on('secureConnection', (socket) => {
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.on('error', () => undefined);
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    bytes: () => bytes,
  };
}

function reply(status: number, body: unknown, headers: Record<string, string> = {}) {
  return (_seen: Seen, response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
}

function gatewayAt(url: string, tlsPins: readonly Uint8Array[] = [spkiPin(tls.cert)]): GatewayEntry {
  return {
    id: 'gateway-1',
    url,
    tlsPins,
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(),
    tier: 'basic',
    isLive: true,
  };
}

function connectTo(gateway: GatewayEntry, options: { ca?: string; timeoutMs?: number } = {}) {
  return createGatewayConnector({ signer, clock: systemClock, timeoutMs: 3_000, ...options }).connect(
    gateway,
  );
}

const challengeReply = {
  nonce: 'n0nce',
  gateway_id: 'gateway-1',
  timestamp,
  expires_at: timestamp + 60_000,
  admissible: true,
  reason: null,
};
const challenge: Challenge = {
  nonce: 'n0nce',
  gatewayId: 'gateway-1',
  timestampMs: timestamp,
  expiresAtMs: timestamp + 60_000,
  admissible: true,
  reason: undefined,
};
const registerReply = {
  status: 'registered',
  node_id: 'worker-1',
  timestamp,
  message: 'welcome',
  incarnation: 4,
  join: { server: 'https://k3s:6443', token: 'K10aa::abcdef.0123456789abcdef', expires_at: timestamp + 9 },
  heartbeat: { interval_ms: 10_000 },
  node_labels: { a: 'b' },
  taints: ['k3s-daas.io/staked=basic:NoSchedule'],
  a_member_of_a_newer_gateway: true,
};
const registration = {
  challenge,
  sealTokenId,
  nodePasswordHash: `$1:${'0'.repeat(16)}:15:8:1:${'A'.repeat(86)}`,
  host: { os: 'linux' },
};
const heartbeat = {
  sealTokenId,
  incarnation: 4,
  sequence: 7,
  stakeStatus: 'active',
  stakeMist: 1_000n,
  agentState: 'ready',
  runningPods: undefined,
  resourceUsage: { cpuPercent: 250, memoryPercent: Number.NaN, diskPercent: 12.345 },
} as const;
const heartbeatReply = { status: 'acknowledged', timestamp, message: 'all is well', directives: [] };

function problem(code: string, status: number) {
  return {
    type: `urn:k3s-daas:problem:${code}`,
    title: 't',
    status,
    detail: 'a sentence',
    code,
    request_id: 'r1',
    timestamp,
  };
}

describe('what is sent', () => {
  test('a challenge is asked for with node id and wallet', async () => {
    const server = await serve(reply(200, challengeReply));
    await using connection = connectTo(gatewayAt(server.url));
    expect(await connection.challenge({ nodeId: 'worker-1', staker: '0x1' })).toEqual(challenge);
    expect(server.seen[0]?.request.url).toBe('/api/v1/challenge?node_id=worker-1&staker=0x1');
  });

  test('a registration carries a proof over exactly these bytes, in the gateway’s time', async () => {
    const server = await serve(({ request }, response) =>
      request.method === 'GET'
        ? reply(200, challengeReply)({ request, body: '' }, response)
        : reply(200, registerReply)({ request, body: '' }, response),
    );
    await using connection = connectTo(gatewayAt(server.url));
    await connection.challenge({ nodeId: 'worker-1', staker: '0x1' });
    const registered = await connection.register(registration);
    expect(registered).toMatchObject({ incarnation: 4, heartbeatIntervalMs: 10_000, message: 'welcome' });
    expect(registered.join?.token).toBeInstanceOf(Secret);
    // The gateway's clock is years ahead: what it says of a time is told in ours.
    expect(Math.abs((registered.join?.expiresAtMs ?? 0) - Date.now())).toBeLessThan(3_600_000);
    expect(inspect(registered, { depth: 5 })).not.toContain('0123456789abcdef');

    const sent = server.seen[1];
    const outcome = parseProof(String(sent?.request.headers['x-seal-token']));
    if (!outcome.ok || !sent) throw new Error('no proof');
    expect(outcome.proof).toMatchObject({
      audience: 'gateway-1',
      nodeId: 'worker-1',
      tokenId: sealTokenId,
      method: 'POST',
      path: '/api/v1/register-worker',
      nonce: 'n0nce',
      bodyDigest: bodyDigest(sent.body),
      presentedKey: key.publicKey,
    });
    // This machine's clock is years behind the gateway's.
    expect(outcome.proof.issuedAtMs).toBeGreaterThanOrEqual(timestamp);
    expect(outcome.proof.issuedAtMs).toBeLessThan(timestamp + 60_000);
    expect(JSON.parse(sent.body)).toMatchObject({ node_id: 'worker-1', host: { os: 'linux' } });
  });

  test('a heartbeat with readings that are no numbers is still one', async () => {
    const server = await serve(
      reply(200, {
        status: 'acknowledged',
        timestamp,
        message: 'm',
        directives: [{ kind: 'stop', reason: 'slashed' }],
      }),
    );
    await using connection = connectTo(gatewayAt(server.url));
    expect(await connection.heartbeat(heartbeat)).toEqual({
      timestampMs: timestamp,
      message: 'm',
      directives: [{ kind: 'stop', reason: 'slashed' }],
    });
    expect(JSON.parse(server.seen[0]?.body ?? '')).toMatchObject({
      running_pods: null,
      stake_amount: '1000',
      resource_usage: { cpu_percent: 100, memory_percent: 0, disk_percent: 12.3 },
    });
    const outcome = parseProof(String(server.seen[0]?.request.headers['x-seal-token']));
    expect(outcome).toMatchObject({
      ok: true,
      proof: { incarnation: 4, sequence: 7, presentedKey: undefined },
    });
  });
});

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

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createPlainServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function makeTls(): Promise<{ cert: string; key: string }> {
  x509.cryptoProvider.set(webcrypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${randomBytes(4).toString('hex')}`,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    cert: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  };
}
