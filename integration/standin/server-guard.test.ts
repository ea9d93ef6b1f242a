import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkPinnedServer, createServerGuard } from '#api';
import { Lifetime, type Log, Secret, silentLog } from '#base';
import { caHash } from '#infrastructure';
import { type Authority, openAuthority, subordinateOf } from './server/authority.ts';

const life = new Lifetime();
let directory = '';
/** The CA of the cluster, one that the machine trusts, and one that neither knows. */
let own: Authority;
let trusted: Authority;
let other: Authority;
/** A CA below the last one, which the machine trusts without the CA above it. */
let intermediate: Authority;
/** Another one, which nobody trusts. */
let foreign: Authority;
let environment: Record<string, string> = {};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'guard-'));
  life.defer('directory', () => rm(directory, { recursive: true, force: true }));
  [own, trusted, other] = (await Promise.all(
    ['own', 'trusted', 'other'].map((name) => openAuthority(join(directory, name), name)),
  )) as [Authority, Authority, Authority];
  const roots = join(directory, 'roots.pem');
  intermediate = await subordinateOf(other, 'intermediate');
  foreign = await subordinateOf(other, 'foreign');
  await writeFile(roots, trusted.certificate + intermediate.certificate);
  environment = { SSL_CERT_FILE: roots, SSL_CERT_DIR: join(directory, 'none') };
});
afterAll(() => life.close());

type Bundle = Pick<Authority, 'certificate'>;

/** A Kubernetes server whose certificate is of one CA, and which serves the bundle of another. */
async function server(signer: Authority, bundle: Bundle): Promise<string> {
  const { certificate, key } = await signer.issue({
    commonName: 'server',
    usage: 'server',
    names: ['127.0.0.1', 'localhost'],
  });
  const listening = createServer({ cert: certificate, key }, (request, response) => {
    response.end(request.url === '/cacerts' ? bundle.certificate : '');
  }).listen(0, '127.0.0.1');
  await new Promise((done) => listening.once('listening', done));
  life.defer('server', () => {
    listening.closeAllConnections();
    return new Promise((done) => listening.close(done));
  });
  return `https://127.0.0.1:${(listening.address() as AddressInfo).port}`;
}

const hashOf = ({ certificate }: Bundle) => Buffer.from(caHash(certificate), 'hex');

const hashHex = (bundle: Bundle) => hashOf(bundle).toString('hex');

function credential(url: string, authority: Bundle) {
  const token = new Secret(`K10${hashOf(authority).toString('hex')}::abcdef.0123456789abcdef`);
  return { server: url, token, expiresAtMs: 0 };
}

interface Listed {
  servers: string[];
  caHashes: Uint8Array[];
}

function guardOf(listed: Listed, log: Log = silentLog) {
  const guard = createServerGuard({ cluster: async () => listed, log, environment, timeoutMs: 5_000 });
  return (join: ReturnType<typeof credential>) => guard(join, new AbortController().signal);
}

/** The worker's operator names a server; the chain lists this, or nothing. */
function trustingGuardOf(
  trusted: Listed,
  listed: Listed = { servers: [], caHashes: [] },
  log: Log = silentLog,
) {
  const options = { cluster: async () => listed, trusted, log, environment, timeoutMs: 5_000 };
  const guard = createServerGuard(options);
  return (join: ReturnType<typeof credential>) => guard(join, new AbortController().signal);
}

const pinned = (url: string): Listed => ({ servers: [url], caHashes: [hashOf(own)] });

test('the server of the cluster passes', async () => {
  const url = await server(own, own);
  await guardOf(pinned(url))(credential(url, own));
});

test('a server that is not listed is refused without being asked', async () => {
  const url = await server(own, own);
  const join = credential(url, own);
  await expect(guardOf({ servers: ['https://k3s.example:6443'], caHashes: [] })(join)).rejects.toMatchObject({
    code: 'DAAS_SERVER_NOT_LISTED',
    isRetryable: true,
    exitCode: 75,
  });
});

test('a server whose bundle has several certificates passes by the hash of its root, as k3s makes it', async () => {
  const bundle = own.certificate + other.certificate;
  const root = Buffer.from(caHash(bundle), 'hex');
  expect(root).not.toEqual(createHash('sha256').update(bundle).digest());
  const url = await server(own, { certificate: bundle });
  const join = credential(url, { certificate: bundle });
  await guardOf({ servers: [url], caHashes: [root] })(join);
});

test.each([
  ['a root', () => [other, other]],
  ['an intermediate CA', () => [foreign, foreign]],
])('%s that is added to the bundle behind the root of the hash is not trusted', async (_what, partsOf) => {
  const [signer, added] = partsOf() as [Authority, Authority];
  const bundle = { certificate: own.certificate + added.certificate };
  const url = await server(signer, bundle);
  const listed = { servers: [url], caHashes: [hashOf(bundle)] };
  await expect(guardOf(listed)(credential(url, bundle))).rejects.toMatchObject({
    code: 'DAAS_SERVER_CA_MISMATCH',
    message: expect.stringContaining('does not end in the CA'),
  });
});

test('a server without a CA bundle is refused as another one', async () => {
  const url = await server(own, { certificate: '<html>' });
  await expect(guardOf(pinned(url))(credential(url, own))).rejects.toMatchObject({
    code: 'DAAS_SERVER_CA_MISMATCH',
    message: expect.stringContaining('no PEM certificate'),
  });
});

describe('an evil server', () => {
  test.each<[string, () => [Authority, Authority, Authority], string]>([
    [
      'with a certificate that the machine trusts and the right hash: k3s would not look at the hash',
      () => [trusted, own, own],
      'DAAS_SERVER_SYSTEM_TRUSTED',
    ],
    [
      'with a certificate of an intermediate CA that the machine trusts without its root, as Go does',
      () => [intermediate, own, own],
      'DAAS_SERVER_SYSTEM_TRUSTED',
    ],
    [
      'with another CA and a credential that names it',
      () => [other, other, other],
      'DAAS_SERVER_CA_MISMATCH',
    ],
    ['with another CA and a credential of the cluster', () => [other, other, own], 'DAAS_SERVER_CA_MISMATCH'],
    [
      'that serves the bundle of the cluster and has no certificate of it',
      () => [other, own, own],
      'DAAS_SERVER_CA_MISMATCH',
    ],
  ])('%s', async (_what, parts, code) => {
    const [signer, bundle, named] = parts();
    const url = await server(signer, bundle);
    await expect(guardOf(pinned(url))(credential(url, named))).rejects.toMatchObject({ code, exitCode: 75 });
  });
});

test('a server that is away is retried', async () => {
  const url = 'https://127.0.0.1:1';
  await expect(guardOf(pinned(url))(credential(url, own))).rejects.toMatchObject({
    code: 'DAAS_SERVER_UNREACHABLE',
    isRetryable: true,
  });
});

describe('a stop while a server is checked ends the check with its reason', () => {
  /** Accepts connections and says nothing; `onConnection` is called with each. */
  async function silent(onConnection: () => void = () => undefined): Promise<number> {
    const sockets = new Set<Socket>();
    const listening = createTcpServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      onConnection();
    }).listen(0, '127.0.0.1');
    await new Promise((done) => listening.once('listening', done));
    life.defer('silent server', () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((done) => listening.close(done));
    });
    return (listening.address() as AddressInfo).port;
  }

  function checkWith(url: string, names: Record<string, string>, signal: AbortSignal) {
    const guard = createServerGuard({
      cluster: async () => pinned(url),
      log: silentLog,
      environment: names,
      timeoutMs: 600_000,
    });
    return guard(credential(url, own), signal);
  }

  test.each(['SSL_CERT_FILE', 'HTTPS_PROXY'])('that comes while %s is read', async (name) => {
    const stop = new AbortController();
    const names = new Proxy(environment, {
      get: (target, key) => {
        if (key === name) stop.abort(new Error('the host stops'));
        return target[key as string];
      },
    });
    const url = `https://127.0.0.1:${await silent()}`;
    await expect(checkWith(url, names, stop.signal)).rejects.toThrow('the host stops');
  });

  test('that comes while a proxy opens the tunnel', async () => {
    const stop = new AbortController();
    const port = await silent(() => stop.abort(new Error('the host stops')));
    const names = { ...environment, HTTPS_PROXY: `http://127.0.0.1:${port}` };
    await expect(checkWith('https://k3s.example:6443', names, stop.signal)).rejects.toThrow('the host stops');
  });
});

describe('a start without a credential', () => {
  const restart = (url: string, pin: Bundle) =>
    checkPinnedServer(
      { url, caHash: hashHex(pin) },
      { log: silentLog, environment },
      new AbortController().signal,
    );

  test('is held to what the last check with the chain was, which needs no chain', async () => {
    const passed: unknown[] = [];
    const url = await server(own, own);
    const guard = createServerGuard({
      cluster: async () => pinned(url),
      log: silentLog,
      environment,
      onPassed: async (pin) => void passed.push(pin),
    });
    await guard(credential(url, own), new AbortController().signal);
    expect(passed).toEqual([{ url, caHash: hashHex(own) }]);
    await restart(url, own);
  });

  test('is refused where the server has another CA, or one that the machine trusts', async () => {
    await expect(restart(await server(other, other), own)).rejects.toMatchObject({
      code: 'DAAS_SERVER_CA_MISMATCH',
    });
    await expect(restart(await server(trusted, own), own)).rejects.toMatchObject({
      code: 'DAAS_SERVER_SYSTEM_TRUSTED',
    });
  });

  test('goes on where the server is away: k3s waits for it, and may know others', async () => {
    await restart('https://127.0.0.1:1', own);
  });
});

test('a change on chain is accepted with a notice, and an empty list is said at the first start', async () => {
  const lines: string[] = [];
  const log = { ...silentLog, warn: (message: string) => void lines.push(message) };
  const url = await server(other, other);
  const listed: Listed = { servers: [], caHashes: [] };
  const guard = guardOf(listed, log);
  await guard(credential(url, other));
  expect(lines).toEqual([
    'The cluster lists no server on chain: any server is joined',
    'The cluster lists no CA hash on chain: the CA of the server is unchecked',
  ]);
  Object.assign(listed, { servers: [url], caHashes: [hashOf(other)] });
  await guard(credential(url, other));
  expect(lines.at(-1)).toBe('The servers of the cluster have changed on chain');
  await guard(credential(url, other));
  expect(lines).toHaveLength(3);
});

describe('a server that the operator of the worker trusts, where the chain names none', () => {
  test('passes when it is that one, and is what the next start is held to', async () => {
    const url = await server(own, own);
    await trustingGuardOf(pinned(url))(credential(url, own));
  });

  test('is no other one that the gateway names, nor one with another CA', async () => {
    const [url, elsewhere] = [await server(own, own), await server(other, other)];
    const guard = trustingGuardOf(pinned(url));
    await expect(guard(credential(elsewhere, own))).rejects.toMatchObject({
      code: 'DAAS_SERVER_NOT_LISTED',
      message: expect.stringContaining('join.trustServer'),
    });
    await expect(guard(credential(url, other))).rejects.toMatchObject({ code: 'DAAS_SERVER_CA_MISMATCH' });
    const impostor = trustingGuardOf(pinned(elsewhere));
    await expect(impostor(credential(elsewhere, own))).rejects.toMatchObject({
      code: 'DAAS_SERVER_CA_MISMATCH',
    });
  });

  test('gives the CA hash where the chain names a server alone, and the other way round', async () => {
    const url = await server(own, own);
    const trusted = { servers: ['https://127.0.0.1:1'], caHashes: [hashOf(own)] };
    const guard = trustingGuardOf(trusted, { servers: [url], caHashes: [] });
    await guard(credential(url, own));
    await expect(guard(credential(url, other))).rejects.toMatchObject({
      code: 'DAAS_SERVER_CA_MISMATCH',
      message: expect.stringContaining('join.trustServer'),
    });
    const elsewhere = trustingGuardOf(trusted, { servers: [], caHashes: [hashOf(own)] });
    await expect(elsewhere(credential(url, own))).rejects.toMatchObject({ code: 'DAAS_SERVER_NOT_LISTED' });
  });

  test('counts for nothing where the chain names one', async () => {
    const [url, listed] = [await server(other, other), await server(own, own)];
    const lines: string[] = [];
    const log = { ...silentLog, warn: (message: string) => void lines.push(message) };
    const trusted = { servers: [url], caHashes: [hashOf(other)] };
    const guard = trustingGuardOf(trusted, pinned(listed), log);
    await guard(credential(listed, own));
    await expect(guard(credential(url, other))).rejects.toMatchObject({ code: 'DAAS_SERVER_NOT_LISTED' });
    expect(lines).toContain('join.trustServer is not used: the cluster names its server on chain');
  });
});
