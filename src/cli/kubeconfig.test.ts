import { lstat, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeWebhookKey } from '#authorizer';
import { loginFileText } from '#login';
import { ownProgram } from './install-program.ts';
import { createIo } from './io.ts';
import { kubeconfigCommand } from './kubeconfig.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;
let directory = '';
const file = (name: string) => join(directory, name);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  const login = { chainId: 'chain', clusterId: id('c'), wallet: id('1'), sealTokenId: id('a') };
  await writeFile(file('login.json'), loginFileText({ ...login, key: { kind: 'file', file: 'login.key' } }));
  await writeFile(file('ca.crt'), (await makeWebhookKey('server')).cert);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function run(...flags: string[]): Promise<Record<string, unknown>> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const command = kubeconfigCommand(createIo({ json: true, stdout, stderr } as never)).exitOverride();
  await command.parseAsync(['--login', file('login.json'), ...flags], { from: 'user' });
  return JSON.parse(String(stdout.read() ?? '{}')) as Record<string, unknown>;
}
const server = ['--server', 'https://k3s.example:6443'];

test('it is printed, or written for its owner alone, with the namespace of the wallet', async () => {
  const printed = await run(...server, '--ca-file', file('ca.crt'));
  expect(printed).toMatchObject({ name: 'k3s-daas-cccccccc', namespace: `seal-${'1'.repeat(40)}` });
  expect(printed.command).toMatch(/^\/.*\/bin\/k3s-daas$/);
  expect(printed.command).toBe(await ownProgram());
  const out = file('new/config');
  await run(...server, '--ca-file', file('ca.crt'), '--out', out);
  expect(await readFile(out, 'utf8')).toBe(printed.kubeconfig);
  expect((await stat(out)).mode & 0o777).toBe(0o600);
});

test('it signs for the cluster of the context alone, unless --any-caller is passed', async () => {
  const flags = [...server, '--system-ca'];
  expect((await run(...flags)).kubeconfig).not.toContain('--any-caller');
  expect((await run(...flags, '--any-caller')).kubeconfig).toContain('- --any-caller\n');
});

test('it is merged into a file that is there, or makes it', async () => {
  await mkdir(file('kube'), { mode: 0o700 });
  const merge = file('kube/config');
  await run(...server, '--system-ca', '--merge', merge);
  await run(...server, '--system-ca', '--name', 'second', '--merge', merge);
  const text = await readFile(merge, 'utf8');
  expect(text).toContain('current-context: k3s-daas-cccccccc');
  expect(text).toContain('name: second');
  expect(text).not.toContain('certificate-authority-data');
});

test.each([
  ['to a file', (target: string) => writeFile(target, 'kind: Config\ncurrent-context: work\n')],
  ['to nothing yet', () => Promise.resolve()],
])('it is merged into what a symbolic link leads %s, and the link stays', async (_name, prepare) => {
  await prepare(file('dotfiles'));
  await symlink('dotfiles', file('config'));
  const merged = await run(...server, '--system-ca', '--merge', file('config'));
  expect(merged).toMatchObject({ file: file('dotfiles'), merged: true });
  expect((await lstat(file('config'))).isSymbolicLink()).toBe(true);
  expect(await readFile(file('dotfiles'), 'utf8')).toContain('k3s-daas-cccccccc');
});

test.each([
  ['nothing vouches for the server', [...server], 'DAAS_FLAG_MISSING'],
  ['the server is no https origin', ['--server', 'http://k3s.example'], 'DAAS_KUBECONFIG_SERVER'],
  ['the CA is none', [...server, '--ca-file', 'login.json'], 'DAAS_SERVER_CA_UNREADABLE'],
  ['two targets', [...server, '--system-ca', '--out', 'a', '--merge', 'b'], 'DAAS_FLAGS_CONFLICT'],
  ['two CAs', [...server, '--system-ca', '--ca-file', 'ca.crt'], 'DAAS_FLAGS_CONFLICT'],
])('%s: named', async (_name, flags, code) => {
  const placed = flags.map((flag) => (/^(login\.json|ca\.crt)$/.test(flag) ? file(flag) : flag));
  await expect(run(...placed)).rejects.toMatchObject({ code });
});
