import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { gatewayCommand } from './gateway.ts';
import { createIo } from './io.ts';

let directory = '';
const stateFile = (name: string) => join(directory, 'state', 'authorizer', name);
const kubeconfig = () => join(directory, 'server', 'token-review.kubeconfig');

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'token-review-'));
  await mkdir(join(directory, 'state', 'authorizer'), { recursive: true });
  for (const name of ['webhook.crt', 'api-server.crt', 'api-server.key'])
    await writeFile(stateFile(name), `the ${name}`);
  await configure(true);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const configure = (enabled: boolean) =>
  writeFile(
    join(directory, 'k3s-daas.yaml'),
    `chain:
  endpoints: [https://fullnode.testnet.sui.io:443]
gateway:
  server: https://k3s.example:6443
  tls: {certFile: tls.crt, keyFile: tls.key}
  stateDir: ${join(directory, 'state')}
  tokenReview: {enabled: ${enabled}, cacheTtlMs: 7000}
`,
    { mode: 0o600 },
  );

async function run(): Promise<string> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const command = gatewayCommand(createIo({ json: false, stdout, stderr } as never)).exitOverride();
  const given = ['--config', join(directory, 'k3s-daas.yaml'), '--dir', join(directory, 'server')];
  await command.parseAsync(['token-review', ...given], { from: 'user' });
  return String(stdout.read() ?? '');
}

test('the kubeconfig leads to the gateway on loopback, root alone reads it, and the flags are printed', async () => {
  const shown = await run();
  expect(shown).toContain(`  - authentication-token-webhook-config-file=${kubeconfig()}\n`);
  expect(shown).toContain('  - authentication-token-webhook-version=v1\n');
  expect(shown).toContain('  - authentication-token-webhook-cache-ttl=7000ms');
  const text = await readFile(kubeconfig(), 'utf8');
  expect(text).toContain('server: https://127.0.0.1:8447/');
  expect(text).toContain(Buffer.from('the api-server.key').toString('base64'));
  expect((await stat(kubeconfig())).mode & 0o777).toBe(0o600);
});

test('nothing is written while the gateway does not answer, or for a link in its directory', async () => {
  await configure(false);
  await expect(run()).rejects.toMatchObject({ code: 'DAAS_TOKEN_REVIEW_OFF' });
  await configure(true);
  await rm(stateFile('api-server.key'));
  await symlink('/etc/hostname', stateFile('api-server.key'));
  await expect(run()).rejects.toMatchObject({ code: 'DAAS_TOKEN_REVIEW_FILE' });
  await expect(stat(kubeconfig())).rejects.toThrow();
});
