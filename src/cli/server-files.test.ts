import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AUTHORIZER_FILES } from '#gateway';
import type { GatewaySection } from './gateway-config.ts';
import {
  differingFiles,
  ensureWebhookKeys,
  presentServerFiles,
  removeServerFiles,
  type ServerPlace,
  serverFiles,
  writeServerFiles,
} from './server-files.ts';

function otherKey(kind: 'rsa' | 'secp256k1'): string {
  const { privateKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2_048 })
      : generateKeyPairSync('ec', { namedCurve: kind });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

let directory = '';
let place: ServerPlace;
let config: GatewaySection;
const inConfig = (name: string) => join(place.k3sConfigDir, name);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'server-files-'));
  place = {
    k3sConfigDir: join(directory, 'etc'),
    k3sDataDir: join(directory, 'data'),
    unitDir: join(directory, 'systemd'),
  };
  for (const one of [place.k3sConfigDir, join(place.k3sDataDir, 'server'), place.unitDir])
    await mkdir(one, { recursive: true });
  const serverCertificates = join(directory, 'run', 'server-certificates.json');
  config = {
    stateDir: join(directory, 'state'),
    authorizer: { mode: 'observe', port: 8446, serverCertificates },
  } as unknown as GatewaySection;
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const setup = () => ({
  config,
  place,
  program: { program: '/opt/k3s-daas/bin/k3s-daas', configFile: '/srv/k3s-daas.yaml' },
  support: 'full' as const,
});
async function put(): Promise<readonly string[]> {
  await ensureWebhookKeys(config);
  return writeServerFiles(await serverFiles(setup()));
}

test('the files of a server are readable by root alone, and what leads to a file is written after it', async () => {
  const written = await put();
  const order = [
    'webhook-',
    'nowhere.kubeconfig',
    'authorization.yaml',
    'k3s-daas.yaml',
    'k3s-daas-authorizer.service',
  ];
  expect(written).toHaveLength(order.length);
  for (const [index, name] of order.entries()) expect(written[index]).toContain(name);
  for (const path of written.slice(0, -1)) expect((await stat(path)).mode & 0o777).toBe(0o600);
  const dropIn = await readFile(inConfig('config.yaml.d/k3s-daas.yaml'), 'utf8');
  expect(dropIn).toContain(
    `authorization-config=${join(place.k3sDataDir, 'server/k3s-daas/authorization.yaml')}`,
  );
  const unit = await readFile(join(place.unitDir, 'k3s-daas-authorizer.service'), 'utf8');
  expect(unit).toContain(
    `ExecStart=/opt/k3s-daas/bin/k3s-daas gateway authorizer --config /srv/k3s-daas.yaml --dir ${join(place.k3sDataDir, 'server/k3s-daas')} `,
  );
});

test('a second run changes nothing, and what was changed by hand is written again', async () => {
  await put();
  expect(await put()).toEqual([]);
  const path = inConfig('config.yaml.d/k3s-daas.yaml');
  await writeFile(path, 'kube-apiserver-arg: []\n');
  expect((await differingFiles(await serverFiles(setup()))).map((file) => file.path)).toEqual([path]);
  expect(await put()).toEqual([path]);
});

test('before there are keys the plan names the file that depends on them, and nothing is made', async () => {
  const planned = await serverFiles(setup());
  expect(planned.map(({ text }) => text === undefined)).toEqual([true, false, false]);
  await expect(readdir(config.stateDir)).rejects.toThrow();
});

test.each([
  ['config.yaml', 'kube-apiserver-arg: [authorization-mode=Node,RBAC]'],
  ['config.yaml.d/z-last.yaml', 'kube-apiserver-arg: [audit-log-path=/x]'],
])('%s of the operator that excludes the drop-in is named, and nothing is written', async (name, text) => {
  await mkdir(inConfig('config.yaml.d'), { recursive: true });
  await writeFile(inConfig(name), text);
  await expect(put()).rejects.toMatchObject({
    code: 'DAAS_SERVER_FILES_REFUSED',
    message: expect.stringContaining(inConfig(name)),
  });
  expect(await presentServerFiles(place)).toEqual([]);
});

test('an earlier file of the operator and what it sets stays in force', async () => {
  await mkdir(inConfig('config.yaml.d'), { recursive: true });
  await writeFile(inConfig('config.yaml.d/a-first.yaml'), 'kube-apiserver-arg: [audit-log-path=/x]');
  expect(await put()).toHaveLength(5);
});

test('they are taken back, the drop-in first, and a file of the operator stays', async () => {
  await put();
  const mine = join(place.k3sDataDir, 'server/k3s-daas/mine');
  await writeFile(mine, '');
  const removed = await removeServerFiles(place);
  expect(removed[0]).toBe(inConfig('config.yaml.d/k3s-daas.yaml'));
  expect(removed).toHaveLength(5);
  expect(await presentServerFiles(place)).toEqual([]);
  expect(await readdir(join(place.k3sDataDir, 'server/k3s-daas'))).toEqual(['mine']);
});

test('nothing of the gateway’s text gets into a file of root’s but its certificates and keys, encoded anew', async () => {
  await put();
  for (const name of ['serverCert', 'clientCert', 'clientKey'] as const) {
    const path = join(config.stateDir, 'authorizer', AUTHORIZER_FILES[name]);
    await writeFile(path, `smuggled: before\n${await readFile(path, 'utf8')}smuggled: after\n`);
  }
  // The meaning is the same, and so is every file.
  expect(await put()).toEqual([]);
  const files = join(place.k3sDataDir, 'server/k3s-daas');
  for (const name of await readdir(files)) {
    const text = await readFile(join(files, name), 'utf8');
    const decoded = [...text.matchAll(/-data: (\S+)/g)].map(([, data = '']) => Buffer.from(data, 'base64'));
    expect([text, ...decoded].join()).not.toContain('smuggled');
  }
});

test('a list of banned names that is missing lifts no ban: it is an empty one at the first setup alone', async () => {
  await put();
  const banned = join(config.stateDir, 'authorizer', AUTHORIZER_FILES.banned);
  await rm(banned, { force: true });
  expect(await put()).toEqual([]);
  await writeFile(banned, '{"names":["worker-1"]}');
  await put();
  const inForce = () => readFile(join(place.k3sDataDir, 'server/k3s-daas/authorization.yaml'), 'utf8');
  const before = await inForce();
  expect(before).toContain("'worker-1'");
  for (const change of [() => rm(banned), () => writeFile(banned, '')]) {
    await change();
    await expect(put()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_AUTHORIZER_FILE',
      message: expect.stringContaining('missing or empty'),
    });
    expect(await inForce()).toBe(before);
  }
});

test.each([
  ['serverCert', 'no certificate'],
  ['clientKey', 'no key'],
  ['clientCert', ''],
  // Of another kind than the gateway makes: RSA, and a curve that the API server does not have.
  ['clientKey', otherKey('rsa')],
  ['clientKey', otherKey('secp256k1')],
] as const)(
  'with a %s of which an API server would not start, its files stay as they are',
  async (name, text) => {
    await put();
    const path = join(config.stateDir, 'authorizer', AUTHORIZER_FILES[name]);
    await writeFile(path, text);
    await expect(put()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_AUTHORIZER_FILE',
      message: expect.stringContaining(path),
    });
  },
);

test('more banned names than an API server takes are refused, and well-formed ones alone get into its expressions', async () => {
  await put();
  const banned = join(config.stateDir, 'authorizer', AUTHORIZER_FILES.banned);
  const list = (count: number) =>
    JSON.stringify({ names: Array.from({ length: count }, (_, index) => `worker-${index}`) });
  await writeFile(banned, list(10_001));
  await expect(put()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_AUTHORIZER_FILE' });
  await writeFile(banned, list(2_500));
  await put();
  const text = await readFile(join(place.k3sDataDir, 'server/k3s-daas/authorization.yaml'), 'utf8');
  expect(text.match(/name: k3s-daas-banned/g)).toHaveLength(3);
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(100_000);
});
