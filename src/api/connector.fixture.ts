// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import * as x509 from '@peculiar/x509';
import { afterEach } from 'vitest';
import { Secret, systemClock } from '#base';
import type { GatewayEntry } from '#domain';
import type { Challenge } from '#plugin';
import { createProofSigner, nodeKeyFromSeed } from '#seal';
import { type ConnectorOptions, createGatewayConnector } from './connector.ts';
import { spkiPin } from './tls.ts';

export const tls = await makeTls();
export const otherTls = await makeTls();
export const key = nodeKeyFromSeed(new Secret(randomBytes(32).toString('hex')));
const signer = createProofSigner('worker-1', key);
export const sealTokenId = `0x${'ab'.repeat(32)}`;
export const timestamp = 1_900_000_000_000;

export const closing: Array<() => Promise<void>> = [];

/** Ends after each test what it began. */
export function closeAfterEach(): void {
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
}

export interface Seen {
  readonly request: IncomingMessage;
  readonly body: string;
}

/** A gateway of a few lines: what it is sent is kept, what it answers is the test's. */
export async function serve(
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

export function reply(status: number, body: unknown, headers: Record<string, string> = {}) {
  return (_seen: Seen, response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
}

export function gatewayAt(url: string, tlsPins: readonly Uint8Array[] = [spkiPin(tls.cert)]): GatewayEntry {
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

export function connectTo(gateway: GatewayEntry, options: Partial<ConnectorOptions> = {}) {
  return connectorWith(options).connect(gateway);
}

export function connectorWith(options: Partial<ConnectorOptions>) {
  return createGatewayConnector({ signer, clock: systemClock, timeoutMs: 3_000, ...options });
}

export const challengeReply = {
  nonce: 'n0nce',
  gateway_id: 'gateway-1',
  timestamp,
  expires_at: timestamp + 60_000,
  admissible: true,
  reason: null,
};
export const challenge: Challenge = {
  nonce: 'n0nce',
  gatewayId: 'gateway-1',
  timestampMs: timestamp,
  expiresAtMs: timestamp + 60_000,
  admissible: true,
  reason: undefined,
};
export const registerReply = {
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
export const registration = {
  challenge,
  sealTokenId,
  nodePasswordHash: `$1:${'0'.repeat(16)}:15:8:1:${'A'.repeat(86)}`,
  host: { os: 'linux' },
};
export const heartbeat = {
  sealTokenId,
  incarnation: 4,
  sequence: 7,
  stakeStatus: 'active',
  stakeMist: 1_000n,
  agentState: 'ready',
  runningPods: undefined,
  resourceUsage: { cpuPercent: 250, memoryPercent: Number.NaN, diskPercent: 12.345 },
} as const;
export const heartbeatReply = { status: 'acknowledged', timestamp, message: 'all is well', directives: [] };

export function problem(code: string, status: number) {
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

export function freePort(): Promise<number> {
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
