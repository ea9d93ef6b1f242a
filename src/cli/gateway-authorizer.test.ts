import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { makeWebhookKey } from '#authorizer';
import { gatewayCommand } from './gateway.ts';
import { createIo } from './io.ts';

interface Configuration {
  readonly authorizers: ReadonlyArray<{
    readonly type: string;
    readonly name: string;
    readonly webhook?: {
      readonly failurePolicy: string;
      readonly cacheAuthorizedRequests?: boolean;
      readonly connectionInfo: { readonly kubeConfigFile: string };
      readonly matchConditions: ReadonlyArray<{ readonly expression: string }>;
    };
  }>;
}

let directory = '';
const stateFile = (name: string) => join(directory, 'state', 'authorizer', name);
const serverFile = (name: string) => join(directory, 'server', name);
const configuration = async () =>
  parse(await readFile(serverFile('authorization.yaml'), 'utf8')) as Configuration;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'authorizer-files-'));
  await mkdir(join(directory, 'state', 'authorizer'), { recursive: true });
  await mkdir(join(directory, 'agent'));
  const [server, client, own] = await Promise.all([
    makeWebhookKey('server'),
    makeWebhookKey('client'),
    makeWebhookKey('client'),
  ]);
  await writeFile(stateFile('webhook.crt'), server.cert);
  await writeFile(stateFile('api-server.crt'), client.cert);
  await writeFile(stateFile('api-server.key'), client.key);
  await writeFile(stateFile('banned.json'), '{"names":[]}');
  await writeFile(join(directory, 'agent', 'client-kube-proxy.crt'), own.cert);
  await writeFile(join(directory, 'agent', 'client-kube-proxy.key'), own.key);
  await writeFile(
    join(directory, 'k3s-daas.yaml'),
    `chain:
  endpoints: [https://fullnode.testnet.sui.io:443]
gateway:
  server: https://k3s.example:6443
  tls: {certFile: tls.crt, keyFile: tls.key}
  stateDir: ${join(directory, 'state')}
  authorizer: {serverCertificates: ${join(directory, 'run', 'server-certificates.json')}}
`,
    { mode: 0o600 },
  );
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function run(...flags: string[]): Promise<string> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const command = gatewayCommand(createIo({ json: false, stdout, stderr } as never)).exitOverride();
  const given = ['--config', join(directory, 'k3s-daas.yaml'), '--dir', join(directory, 'server')];
  const certificates = ['--certificates', join(directory, 'agent')];
  await command.parseAsync(['authorizer', ...given, ...certificates, ...flags], { from: 'user' });
  return String(stdout.read() ?? '');
}

describe('the files of an API server', () => {
  test('are the webhook first, then Node and RBAC, readable by root alone, with the fingerprints for the gateway', async () => {
    expect(await run('--once')).toContain(`authorization-config=${serverFile('authorization.yaml')}`);
    const { authorizers } = await configuration();
    expect(authorizers.map(({ type, name }) => `${type} ${name}`)).toEqual([
      'Webhook k3s-daas',
      'Node node',
      'RBAC rbac',
    ]);
    expect(authorizers[0]?.webhook).toMatchObject({
      failurePolicy: 'NoOpinion',
      cacheAuthorizedRequests: false,
    });
    const kubeconfig = authorizers[0]?.webhook?.connectionInfo.kubeConfigFile ?? '';
    expect(await readFile(kubeconfig, 'utf8')).toContain('https://127.0.0.1:8446/');
    for (const name of await readdir(join(directory, 'server')))
      expect((await stat(serverFile(name))).mode & 0o777).toBe(0o600);
    const known = await readFile(join(directory, 'run', 'server-certificates.json'), 'utf8');
    expect(JSON.parse(known)).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  });

  test('refuse banned names although nobody answers, and take no expression for a name', async () => {
    await writeFile(
      stateFile('banned.json'),
      JSON.stringify({ names: ['worker-1', "x'] || true || request.user in ['"] }),
    );
    await run('--once');
    const { authorizers } = await configuration();
    expect(authorizers.map(({ name }) => name)).toEqual(['k3s-daas', 'k3s-daas-banned', 'node', 'rbac']);
    const banned = authorizers[1]?.webhook;
    expect(banned?.failurePolicy).toBe('Deny');
    expect(banned?.matchConditions[0]?.expression).toContain("exists(n, n in ['worker-1'])");
    expect(banned?.matchConditions[0]?.expression).not.toContain('true');
  });

  test('lead to another kubeconfig when it changes: a comment would not be noticed', async () => {
    await run('--once');
    const before = (await configuration()).authorizers[0]?.webhook?.connectionInfo.kubeConfigFile;
    const { cert, key } = await makeWebhookKey('client');
    await writeFile(stateFile('api-server.crt'), cert);
    await writeFile(stateFile('api-server.key'), key);
    await run('--once');
    expect((await configuration()).authorizers[0]?.webhook?.connectionInfo.kubeConfigFile).not.toBe(before);
  });

  test('for Kubernetes below 1.34 have no switches for its cache', async () => {
    await run('--once', '--old-server');
    expect((await configuration()).authorizers[0]?.webhook).not.toHaveProperty('cacheAuthorizedRequests');
  });

  test('--print writes nothing', async () => {
    expect(await run('--print')).toContain('kind: AuthorizationConfiguration');
    await expect(readdir(join(directory, 'server'))).rejects.toThrow();
  });

  test('follow no link that the gateway’s user has laid', async () => {
    await rm(stateFile('banned.json'));
    await symlink('/etc/passwd', stateFile('banned.json'));
    await expect(run('--once')).rejects.toMatchObject({ code: 'DAAS_GATEWAY_AUTHORIZER_FILE' });
  });

  test('come after the fingerprints for the gateway, which are written whatever is wrong with its own files', async () => {
    await writeFile(stateFile('banned.json'), 'no list');
    await expect(run('--once')).rejects.toMatchObject({ code: 'DAAS_GATEWAY_AUTHORIZER_FILE' });
    expect(await readdir(join(directory, 'run'))).toEqual(['server-certificates.json']);
  });

  test('a gateway that has not started yet is named as the cause', async () => {
    await rm(join(directory, 'state'), { recursive: true });
    await expect(run('--once')).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_AUTHORIZER_FILE',
      message: expect.stringContaining('start the gateway once'),
    });
  });
});
