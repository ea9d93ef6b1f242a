import { webcrypto } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { inspect } from 'node:util';
import { GrpcTypes } from '@mysten/sui/grpc';
import { afterEach, describe, expect, test } from 'vitest';
import { Lifetime, messageOf, Secret, systemClock } from '#base';
import { openEndpoints } from './endpoints.ts';

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

function open(
  urls: Parameters<typeof openEndpoints>[0],
  options: Partial<Parameters<typeof openEndpoints>[1]> = {},
) {
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

  test.each([404, 412, 502])(
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

describe('http:// to another machine', () => {
  test.each([
    'http://10.0.0.7:9000',
    'http://fullnode.example',
    'http://127.0.0.1.example',
    'http://[fd00::1]:9000',
    'http://0.0.0.0:9000',
  ])('%s is refused, and the sentence names the setting that allows it', (address) => {
    expect(() => open([address])).toThrow(
      expect.objectContaining({ code: 'DAAS_ENDPOINT_INSECURE', exitCode: 78 }),
    );
    expect(() => open([address])).toThrow('chain.allowInsecure');
    expect(() => open(['https://fullnode.example', address])).toThrow(address);
    expect(() => open([address], { allowInsecure: true })).not.toThrow();
  });

  test.each(['http://127.0.0.1:9000', 'http://localhost:9000', 'http://[::1]:9000', 'https://10.0.0.7:9000'])(
    '%s needs no such setting',
    (address) => expect(() => open([address])).not.toThrow(),
  );
});

describe('why a node cannot be asked is told', () => {
  const failure = async (url: string, options?: Parameters<typeof open>[1]) => {
    const error = await epoch(open([url], options)).catch((caught: unknown) => caught);
    return { message: messageOf(error), error };
  };

  test('a port where nothing listens', async () => {
    const { message, error } = await failure(`http://127.0.0.1:${await freePort()}`);
    expect(message).toMatch(/its chain id: the connection was refused \(connect ECONNREFUSED 127/);
    expect(message.match(/ECONNREFUSED/g)).toHaveLength(1);
    expect((error as Error).cause).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('a host name that does not exist', async () => {
    const { message } = await failure('https://nowhere.invalid', { timeoutMs: 10_000 });
    expect(message).toMatch(/the host name is unknown|the name server does not answer/);
  });

  test('a certificate that this machine does not trust', async () => {
    const { message } = await failure(await tlsNode());
    expect(message).toContain('its certificate is not trusted (');
    expect(message).toContain('NODE_EXTRA_CA_CERTS');
  });

  test('https:// to a port that speaks plain HTTP', async () => {
    const plain = await node((response) => response.end());
    expect((await failure(plain.replace('http:', 'https:'))).message).toContain('the TLS handshake failed');
  });

  test('a time-out, with how long it was', async () => {
    const silent = await node(() => undefined);
    expect((await failure(silent, { timeoutMs: 60 })).message).toContain('no answer within 60 ms');
  });

  test('what the node says itself', async () => {
    const broken = await node((response) => fail(response, 13, 'the disk is full'));
    expect((await failure(broken)).message).toContain('the disk is full');
  });

  test('a page in place of an answer, its beginning alone and fit for a terminal', async () => {
    let sentBytes = 0;
    const portal = await node((response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.write('<title>Log\u001b[2J in</title>\n');
      const more = () => {
        while (!response.closed && response.write('x'.repeat(10_000))) sentBytes += 10_000;
      };
      response.on('drain', more);
      more();
    });
    const { message } = await failure(portal);
    expect(message).toContain("HTTP status 200 (text/html): '<title>Log\\u{1b}[2J in</title>");
    expect(message.length).toBeLessThan(500);
    expect(sentBytes).toBeLessThan(20_000_000);
  });

  test('a redirect is not followed, and where it leads is told', async () => {
    let asked = 0;
    const other = await node((response) => {
      asked += 1;
      answer(response, CHAIN);
    });
    const moved = await node((response) => response.writeHead(307, { location: other }).end());
    expect((await failure(moved)).message).toContain(`a redirect to '${other}'`);
    expect(asked).toBe(0);
  });
});

describe('a node that wants a key', () => {
  test.each([401, 403])(
    'by HTTP status %i is named as such, and the next endpoint is asked',
    async (status) => {
      const closed = await node((response) => response.writeHead(status).end('no api key'));
      const alive = await node((response) => answer(response, CHAIN));
      expect(await epoch(open([closed, alive]))).toBe(3n);
      await expect(epoch(open([closed]))).rejects.toMatchObject({
        code: 'DAAS_ENDPOINT_KEY_NEEDED',
        isRetryable: true,
        message: expect.stringMatching(/'no api key'.*chain\.headersFile/s),
      });
    },
  );

  test.each([
    [7, 'PERMISSION_DENIED'],
    [16, 'UNAUTHENTICATED'],
  ])('by gRPC status %i (%s) as well', async (status) => {
    const closed = await node((response) => fail(response, status, 'who are you'));
    await expect(epoch(open([closed]))).rejects.toMatchObject({
      code: 'DAAS_ENDPOINT_KEY_NEEDED',
      message: expect.stringContaining('who are you'),
    });
  });

  test('gets the configured headers with every call, and no message repeats them', async () => {
    const seen: unknown[] = [];
    const echoing = await node((response, request) => {
      seen.push(request.headers['x-api-key']);
      if (seen.length < 3) answer(response, CHAIN);
      else response.destroy();
    });
    const headers = new Map([['x-api-key', new Secret('k-123456')]]);
    const endpoints = open([{ url: echoing, headers }]);
    expect(await epoch(endpoints)).toBe(3n);
    const error = await epoch(endpoints).catch((caught: unknown) => caught);
    expect(seen).toEqual(['k-123456', 'k-123456', 'k-123456']);
    expect(
      messageOf(error) + inspect(error, { depth: 10 }) + inspect(endpoints, { depth: 10 }),
    ).not.toContain('k-123456');
  });
});

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A node behind a certificate that it made itself. */
async function tlsNode(): Promise<string> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({ name: 'CN=node', keys });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`;
  const server = createTlsServer({ cert: certificate.toString('pem'), key });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  life.defer('TLS node', () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
