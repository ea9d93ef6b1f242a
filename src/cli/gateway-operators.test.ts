import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { gatewayCommand } from './gateway.ts';
import { ensureGatewayKeys } from './gateway-keys.ts';
import { createIo } from './io.ts';

// Both are loaded by the first command that needs them, which on a busy machine takes longer than a test may.
beforeAll(async () => {
  await import('./gateway-operators-actions.ts');
  await import('./gateway-operator.ts');
}, 120_000);

let directory = '';
const path = (name: string) => join(directory, name);
let server: Server | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'operators-'));
  await makeKeys('tls');
  await writeFile(
    path('k3s-daas.yaml'),
    `chain:
  endpoints: [https://fullnode.testnet.sui.io:443]
gateway:
  server: https://k3s.example:6443
  tls: {certFile: tls.crt, keyFile: tls.key}
  operators: {directory: operators, listen: {host: 192.0.2.7}}
`,
    { mode: 0o600 },
  );
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
  await rm(directory, { recursive: true });
});

const makeKeys = (name: string) =>
  ensureGatewayKeys(
    { certFile: path(`${name}.crt`), keyFile: path(`${name}.key`), signingKeyFile: path('signing.key') },
    ['localhost'],
  );

/** Runs `k3s-daas gateway …`, and reads the JSON that it prints. */
async function run(...argv: readonly string[]): Promise<Record<string, unknown>> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const command = gatewayCommand(createIo({ json: true, stdout, stderr } as never)).exitOverride();
  await command.parseAsync([...argv, '--json'], { from: 'user' });
  return JSON.parse(String(stdout.read())) as Record<string, unknown>;
}
const operator = (...argv: readonly string[]) => run('operator', ...argv, '--config', path('k3s-daas.yaml'));

/** What answers for a gateway with these keys; names whose certificate it was shown. */
async function serve(keys = 'tls'): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  server = createServer(
    {
      cert: await readFile(path(`${keys}.crt`)),
      key: await readFile(path(`${keys}.key`)),
      ca: await readFile(path('operators/ca.crt')),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    },
    (request, response) => {
      const shown = (request.socket as TLSSocket).getPeerX509Certificate();
      asked.push(`${shown?.subject} ${shown?.subjectAltName} ${request.method} ${request.url}`);
      response.end(JSON.stringify({ timestamp: 1, bans: [] }));
    },
  );
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const add = (url: string, out = path('alice.json')) =>
  operator('add', 'alice', '--role', 'view', '--days', '7', '--url', url, '--out', out);

test('an operator who got a file asks the gateway on another machine, which sees name and role', async () => {
  expect(await operator('init')).toEqual({ directory: path('operators'), made: true });
  const { url, asked } = await serve();
  const added = await add(url);
  expect(added).toMatchObject({ name: 'alice', role: 'view', url });
  expect((Number(added.expiresAtMs) - Date.now()) / 86_400_000).toBeCloseTo(7, 1);
  for (const name of ['alice.json', 'operators/ca.key', 'operators/operators.json'])
    expect((await stat(path(name))).mode & 0o777, name).toBe(0o600);
  expect(await run('bans', '--operator', path('alice.json'))).toEqual({ timestamp: 1, bans: [] });
  expect(asked).toEqual(['CN=alice URI:urn:k3s-daas:operator:view GET /v1/bans']);
});

test('init run again changes nothing', async () => {
  await operator('init');
  const before = await readFile(path('operators/ca.key'), 'utf8');
  expect(await operator('init')).toMatchObject({ made: false });
  expect(await readFile(path('operators/ca.key'), 'utf8')).toBe(before);
});

test('without a URL the file names the place of gateway.operators.listen', async () => {
  await operator('init');
  const out = ['--out', path('bob.json')];
  expect(await operator('add', 'bob', '--role', 'operate', ...out)).toMatchObject({
    url: 'https://192.0.2.7:8448',
  });
});

test('a list says who has what, and revoke ends all of one operator', async () => {
  await operator('init');
  await add('https://gateway.example:8448');
  await add('https://gateway.example:8448', path('alice-2.json'));
  expect(await operator('list')).toMatchObject({
    operators: [{ name: 'alice', state: 'counts' }, { state: 'counts' }],
  });
  expect((await operator('revoke', 'alice')).revoked).toHaveLength(2);
  expect(await operator('list')).toMatchObject({ operators: [{ state: 'revoked' }, { state: 'revoked' }] });
  await expect(operator('revoke', 'nobody')).rejects.toMatchObject({ code: 'DAAS_COMMAND_LINE_INVALID' });
});

test('what answers with another key is told nothing', async () => {
  await operator('init');
  await makeKeys('other');
  const { url, asked } = await serve('other');
  await add(url);
  await expect(run('bans', '--operator', path('alice.json'))).rejects.toMatchObject({
    code: 'DAAS_OPERATOR_UNREACHABLE',
    message: expect.stringContaining('another TLS key'),
  });
  expect(asked).toEqual([]);
});

test('a gateway whose authority has not signed the certificate ends the connection, and the error says so', async () => {
  await operator('init');
  await add('https://gateway.example:8448');
  const earlier = JSON.parse(await readFile(path('alice.json'), 'utf8')) as Record<string, unknown>;
  await rm(path('operators'), { recursive: true });
  await operator('init');
  const { url } = await serve();
  await writeFile(path('alice.json'), JSON.stringify({ ...earlier, url }), { mode: 0o600 });
  await expect(run('bans', '--operator', path('alice.json'))).rejects.toMatchObject({
    code: 'DAAS_OPERATOR_UNREACHABLE',
    message: expect.stringContaining('has not signed the certificate of alice'),
  });
});

test('a file that has expired, that others can read, or that is none, is told before anything is asked', async () => {
  await operator('init');
  await add('https://gateway.example:8448');
  const ask = () => run('bans', '--operator', path('alice.json'));
  await chmod(path('alice.json'), 0o644);
  await expect(ask()).rejects.toMatchObject({ code: 'DAAS_OPERATOR_KEY_EXPOSED' });
  await chmod(path('alice.json'), 0o600);
  const file = JSON.parse(await readFile(path('alice.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(path('alice.json'), JSON.stringify({ ...file, expires_at: 1_000 }));
  await expect(ask()).rejects.toMatchObject({
    code: 'DAAS_OPERATOR_FILE_INVALID',
    message: expect.stringContaining('1970-01-01'),
  });
  await writeFile(path('alice.json'), '{}');
  await expect(ask()).rejects.toMatchObject({ code: 'DAAS_OPERATOR_FILE_INVALID' });
});

test.each([
  ['a name that is none', ['Alice!', '--role', 'view', '--days', '7']],
  ['a life that is too long', ['alice', '--role', 'view', '--days', '91']],
])('%s is refused before a key is made', async (_what, argv) => {
  await operator('init');
  await expect(operator('add', ...argv, '--out', path('out.json'))).rejects.toMatchObject({
    code: 'DAAS_COMMAND_LINE_INVALID',
  });
  await expect(stat(path('out.json'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('before init there is nothing to sign with, and the error names it', async () => {
  await expect(add('https://gateway.example:8448')).rejects.toMatchObject({
    code: 'DAAS_OPERATOR_CA_UNUSABLE',
    message: expect.stringContaining('k3s-daas gateway operator init'),
  });
});
