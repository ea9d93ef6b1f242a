import { PATHS } from '#api';
import type { ProofRequest, ProofSigner } from '#seal';
import { bytesOf, jsonChanged, oddities, proofChanged } from './malformed-parts.fixture.ts';
import { brokenTls, split } from './malformed-tls.fixture.ts';

/**
 * Malformed requests by a seed: a valid request of each route, of which one or two things are changed, in any layer from
 * TLS to a member of a JSON body. A part of them is signed by a worker that may, after the change, so that what lies behind
 * the proof is met too.
 */
export interface Malformed {
  /** What was changed, for the report. */
  readonly kind: string;
  /** Bytes before any TLS, or within it. */
  readonly layer: 'tcp' | 'tls';
  readonly pieces: readonly Buffer[];
  /** One request with one reply: its connection may be used again. */
  readonly isWhole: boolean;
  readonly method: string;
}

interface Culprit {
  readonly nodeId: string;
  readonly tokenId: string;
  readonly staker: string;
  readonly signer: ProofSigner;
}

export interface MalformedOptions {
  readonly random: () => number;
  readonly culprit: Culprit;
  readonly audience: string;
  /** Of a node password; making one is slow on purpose. */
  readonly passwordHash: string;
  readonly nowMs: () => number;
  /** A challenge that the gateway has just given; `undefined`: there is none at hand. */
  readonly nonce: () => string | undefined;
  readonly incarnation: number;
  readonly sequence: () => number;
  /** What a TLS client says first. */
  readonly clientHello: Buffer;
}

interface Plain {
  method: string;
  path: string;
  version: string;
  headers: Array<[name: string, value: string]>;
  body: Buffer;
  lineEnd: string;
}

/** Picks by the seed. */
export interface Draw {
  readonly random: () => number;
  below(bound: number): number;
  pick<T>(list: readonly T[]): T;
  chance(share: number): boolean;
}

function drawBy(random: () => number): Draw {
  const below = (bound: number) => Math.floor(random() * bound);
  return {
    random,
    below,
    pick: (list) => list[below(list.length)] as never,
    chance: (share) => random() < share,
  };
}

export async function malformedRequest(options: MalformedOptions): Promise<Malformed> {
  const draw = drawBy(options.random);
  const roll = draw.random();
  if (roll < 0.05) return brokenTls(draw, options.clientHello);
  const { request, route } = await validRequest(draw, options);
  if (roll < 0.15) return { ...framed(draw, request), kind: `framing ${route}` };
  if (roll < 0.22) return { ...pipelined(draw, request), kind: `pipelining ${route}` };
  if (roll < 0.4) return whole(changedHeaders(draw, request), `headers ${route}`);
  if (roll < 0.55) return whole(changedLine(draw, request), `request line ${route}`);
  if (roll < 0.65) {
    const text = textOf(request);
    return part(`bytes ${route}`, request.method, split(draw, bytesOf(draw, text)));
  }
  return whole(request, `content ${route}`);
}

const whole = (request: Plain, kind: string): Malformed => ({
  kind,
  layer: 'tls',
  pieces: [textOf(request)],
  isWhole: true,
  method: request.method,
});

const part = (kind: string, method: string, pieces: readonly Buffer[]): Malformed => ({
  kind,
  layer: 'tls',
  pieces,
  isWhole: false,
  method,
});

function textOf({ method, path, version, headers, body, lineEnd }: Plain): Buffer {
  const lines = [
    `${method} ${path} ${version}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ];
  return Buffer.concat([Buffer.from(lines.join(lineEnd), 'latin1'), body]);
}

/** A request of one of the routes, whose content is often changed, before or after it was signed. */
async function validRequest(draw: Draw, options: MalformedOptions) {
  const { culprit, nowMs, passwordHash } = options;
  const { nodeId, staker } = culprit;
  const common = { node_id: nodeId, timestamp: nowMs() };
  const usage = { cpu_percent: 1, memory_percent: 2, disk_percent: 3 };
  const beat = {
    stake_status: 'active',
    stake_amount: '1000',
    agent_state: 'ready',
    running_pods: 3,
    resource_usage: usage,
  };
  const bodies: Readonly<Record<string, object>> = {
    [PATHS.register]: { ...common, node_password_hash: passwordHash, host: { os: 'linux', cpus: 4 } },
    [PATHS.heartbeat]: { ...common, ...beat },
    [PATHS.certificates]: {
      ...common,
      certificates: ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    },
    [PATHS.leave]: common,
    [PATHS.chainProof]: { type: 'summary', summary: Buffer.alloc(64, 7).toString('base64') },
  };
  const route = draw.pick([
    ...Object.values(PATHS),
    PATHS.heartbeat,
    PATHS.register,
    '/livez',
    '/openapi.json',
  ]);
  const body = bodies[route];
  if (body === undefined)
    return {
      route,
      request: asked(draw, route, { nodeId, staker }, await proofFor(draw, options, route, '')),
    };
  const text = Buffer.from(draw.chance(0.8) ? jsonChanged(draw, body) : JSON.stringify(body), 'utf8');
  const signed = draw.chance(0.7) ? text : Buffer.from(JSON.stringify(body));
  const proof = await proofFor(draw, options, route, signed);
  return { route, request: posted(route, text, draw.chance(0.3) ? proofChanged(draw, proof) : proof) };
}

function asked(draw: Draw, route: string, query: { nodeId: string; staker: string }, proof: string): Plain {
  const odd = () => encodeURIComponent(draw.pick(oddities).slice(0, 2_000));
  const values = { node_id: query.nodeId, staker: query.staker, nonce: 'A'.repeat(43) };
  const words = Object.entries(values).map(([name, value]) => `${name}=${draw.chance(0.4) ? odd() : value}`);
  if (draw.chance(0.3))
    words.push(draw.pick(['node_id=again', '__proto__=1', 'node_id[]=x', '=', '&&', '%', 'a%00b=c']));
  const headers: Array<[string, string]> = [
    ['host', 'gateway'],
    ['x-seal-token', draw.chance(0.5) ? proofChanged(draw, proof) : proof],
  ];
  return {
    method: 'GET',
    path: `${route}?${words.join('&')}`,
    version: 'HTTP/1.1',
    headers,
    body: Buffer.alloc(0),
    lineEnd: '\r\n',
  };
}

function posted(route: string, body: Buffer, proof: string): Plain {
  const headers: Array<[string, string]> = [
    ['host', 'gateway'],
    ['content-type', 'application/json'],
    ['x-seal-token', proof.replaceAll(/[\r\n]/g, '')],
    ['content-length', String(body.length)],
  ];
  return { method: 'POST', path: route, version: 'HTTP/1.1', headers, body, lineEnd: '\r\n' };
}

function proofFor(
  draw: Draw,
  options: MalformedOptions,
  path: string,
  body: string | Buffer,
): Promise<string> {
  const { culprit, audience, nowMs, incarnation } = options;
  const isBeat = path === PATHS.heartbeat && draw.chance(0.9);
  const nonce = options.nonce() ?? 'n'.repeat(43);
  const freshness: ProofRequest['freshness'] = isBeat
    ? { kind: 'sequence', incarnation, sequence: options.sequence() }
    : { kind: 'nonce', nonce };
  const method = path === PATHS.events ? 'GET' : 'POST';
  const request = { sealTokenId: culprit.tokenId, audience, method, path, nowMs: nowMs(), freshness };
  return culprit.signer.sign({ ...request, body: body as never });
}

const methods = [
  'GET',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PROPFIND',
  'PRI',
  'get',
  'X'.repeat(300),
  '',
  'GE\tT',
];
const pathEnds = [
  '/',
  '//',
  '/..',
  '/%2e%2e/',
  '%00',
  '%',
  '%zz',
  ';a=b',
  '?',
  '#x',
  '/%E0%A4%A',
  '\\',
  '/*',
  `/${'a'.repeat(7_000)}`,
  '/ü',
  ' x',
];
const paths = [
  '*',
  '/',
  '//',
  'http://gateway/livez',
  'https://other/api/v1/challenge',
  'gateway:443',
  '/%2F',
  '/api/v1/../v1/challenge',
  '/API/V1/CHALLENGE',
  '',
  `/${'%41'.repeat(2_000)}`,
];
const versions = [
  'HTTP/1.0',
  'HTTP/0.9',
  'HTTP/2.0',
  'HTTP/1.1.1',
  'HTTP/9.9',
  'http/1.1',
  'HTTP/1.',
  'FTP/1.1',
  '',
  'HTTP/1.1 x',
];

function changedLine(draw: Draw, request: Plain): Plain {
  const at = draw.below(4);
  if (at === 0) return { ...request, method: draw.pick(methods) };
  if (at === 1) return { ...request, path: request.path + draw.pick(pathEnds) };
  if (at === 2) return { ...request, path: draw.pick(paths) };
  return { ...request, version: draw.pick(versions) };
}

const oddHeaders: ReadonlyArray<readonly [string, string]> = [
  ['content-length', '5'],
  ['content-length', '-1'],
  ['content-length', '99999999999999999999'],
  ['content-length', '0x10'],
  ['content-length', '+5'],
  ['transfer-encoding', 'chunked'],
  ['transfer-encoding', 'gzip, chunked'],
  ['transfer-encoding', 'chunked, identity'],
  ['transfer-encoding', '\tchunked'],
  ['content-encoding', 'gzip'],
  ['content-type', 'text/plain'],
  ['content-type', 'application/json; charset=utf-16'],
  ['content-type', 'multipart/form-data'],
  ['content-type', ''],
  ['expect', '100-continue'],
  ['expect', '200-maybe'],
  ['connection', 'upgrade'],
  ['connection', 'close, keep-alive'],
  ['upgrade', 'websocket'],
  ['upgrade', 'h2c'],
  ['host', ''],
  ['host', 'a, b'],
  ['host', 'x'.repeat(300)],
  ['authorization', 'Bearer x'],
  ['authorization', 'Bearer'],
  ['x-seal-token', 'seal_x'],
  ['x-request-id', '\u0000'],
  ['x-request-id', 'a\u0001b'],
  ['x-forwarded-for', '1.2.3.4, 5.6.7.8'],
  ['range', 'bytes=0-1'],
  ['cookie', 'a=b; '.repeat(300)],
  ['x filler', 'name with a space'],
  ['', 'no name'],
  ['x-long', 'f'.repeat(9_000)],
  ['x-latin', 'ÿþý'],
  ['te', 'trailers'],
  ['trailer', 'content-length'],
];

function changedHeaders(draw: Draw, request: Plain): Plain {
  const headers = [...request.headers];
  const change = draw.below(5);
  if (change === 0) headers.splice(draw.below(headers.length), 1);
  else if (change === 1) headers.push([...draw.pick(headers)]);
  else if (change === 2 && draw.chance(0.2))
    for (let count = draw.pick([50, 150, 1_000]); count > 0; count -= 1) headers.push([`x-${count}`, 'a']);
  else if (change === 3) {
    const at = draw.below(headers.length);
    const [name = ''] = headers[at] ?? [];
    headers[at] = [
      name,
      draw
        .pick(oddities)
        .replaceAll(/[\r\n]/g, ' ')
        .slice(0, 12_000),
    ];
  } else headers.splice(draw.below(headers.length + 1), 0, [...draw.pick(oddHeaders)]);
  return { ...request, headers, lineEnd: draw.chance(0.05) ? '\n' : '\r\n' };
}

function framed(draw: Draw, request: Plain): Malformed {
  const headers = request.headers.filter(([name]) => name !== 'content-length');
  const chunked = (body: string | Buffer): Buffer =>
    textOf({ ...request, headers: [...headers, ['transfer-encoding', 'chunked']], body: Buffer.from(body) });
  const { body } = request;
  const size = body.length.toString(16);
  const odd: ReadonlyArray<() => Buffer> = [
    () => chunked(Buffer.concat([Buffer.from(`${size}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])),
    () => chunked(`${size};ext="${'x'.repeat(draw.below(20_000))}"\r\n${body.toString()}\r\n0\r\n\r\n`),
    () => chunked(`-1\r\n${body.toString()}\r\n0\r\n\r\n`),
    () => chunked(`${'f'.repeat(draw.pick([8, 16, 40]))}\r\n${body.toString()}`),
    () => chunked(`zz\r\n${body.toString()}`),
    () => chunked(`0\r\nx-trailer: ${'y'.repeat(draw.below(20_000))}\r\n\r\n`),
    () => chunked('1\r\na\r\n'.repeat(1 + draw.below(3_000))),
    () => chunked(`${size}\n${body.toString()}\n0\n\n`),
    () => withLength(request, String(body.length + 1 + draw.below(100))),
    () => withLength(request, String(Math.max(0, body.length - 1 - draw.below(100)))),
    () => withLength(request, draw.pick(['-1', '1e3', '5, 5', ' ', '18446744073709551616', '٣'])),
    () => textOf(request).subarray(0, draw.below(textOf(request).length)),
  ];
  return part('framing', request.method, split(draw, draw.pick(odd)()));
}

const withLength = (request: Plain, value: string): Buffer =>
  textOf({
    ...request,
    headers: request.headers.map(([name, old]) => [name, name === 'content-length' ? value : old]),
  });

function pipelined(draw: Draw, request: Plain): Malformed {
  const good = textOf({
    ...request,
    method: 'GET',
    path: '/livez',
    headers: [['host', 'gateway']],
    body: Buffer.alloc(0),
  });
  const each = Array.from({ length: 2 + draw.below(12) }, () =>
    draw.pick([
      good,
      textOf(request),
      textOf(changedHeaders(draw, request)),
      textOf(changedLine(draw, request)),
      Buffer.from('\r\n'),
    ]),
  );
  return part('pipelining', request.method, split(draw, Buffer.concat(each)));
}
