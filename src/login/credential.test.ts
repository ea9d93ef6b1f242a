import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeCredential } from './credential.ts';
import { loginFileText } from './login-file.ts';
import { credentialFlags } from './program.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;
const login = { chainId: 'chain', clusterId: id('c'), wallet: id('1'), sealTokenId: id('a') };
const nowMs = Date.parse('2026-11-29T10:00:00Z');
const { privateKey } = generateKeyPairSync('ed25519');
const info = (config: unknown = { chainId: 'chain', clusterId: id('c') }, version = 'v1') =>
  JSON.stringify({
    apiVersion: `client.authentication.k8s.io/${version}`,
    kind: 'ExecCredential',
    spec: { interactive: false, cluster: { server: 'https://k3s.example:6443', config } },
  });

let directory = '';
const file = (name: string) => join(directory, name);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'login-'));
  await writeFile(file('login.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(file('login.json'), loginFileText({ ...login, key: { kind: 'file', file: 'login.key' } }));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const make = async (execInfo: string | undefined = info(), anyCaller = false) =>
  JSON.parse(await makeCredential({ loginFile: file('login.json'), execInfo, anyCaller, nowMs })) as {
    readonly apiVersion: string;
    readonly kind: string;
    readonly status: { readonly token: string; readonly expirationTimestamp: string };
  };

describe('the credential of kubectl', () => {
  test('is a login proof for the cluster of the context, to be replaced 45 s before it expires', async () => {
    const { apiVersion, kind, status } = await make();
    expect({ apiVersion, kind }).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
    });
    // Signed a minute back, for ten minutes.
    expect(status.expirationTimestamp).toBe('2026-11-29T10:08:15Z');
    const [, claims = ''] = status.token.slice('seal_'.length).split('.');
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString('utf8'))).toEqual({
      iss: id('1'),
      aud: id('c'),
      iat: nowMs / 1000 - 60,
      exp: nowMs / 1000 + 540,
    });
    expect((await readdir(directory)).sort()).toEqual(['login.json', 'login.key']);
  });

  test('has the version that the kubeconfig asks for', async () => {
    expect((await make(info(undefined, 'v1beta1'))).apiVersion).toBe('client.authentication.k8s.io/v1beta1');
  });

  test.each([
    ['another cluster', { chainId: 'chain', clusterId: id('d') }],
    ['the same cluster id on another chain', { chainId: 'fork', clusterId: id('c') }],
  ])('nothing is signed for %s', async (_name, config) => {
    await expect(make(info(config))).rejects.toMatchObject({ code: 'DAAS_LOGIN_OTHER_CLUSTER' });
  });

  test('nothing is signed for a caller that does not name the cluster, unless that was asked for', async () => {
    await expect(make('')).rejects.toMatchObject({ code: 'DAAS_LOGIN_CLUSTER_UNKNOWN' });
    await expect(make(info(null))).rejects.toMatchObject({ code: 'DAAS_LOGIN_CLUSTER_UNKNOWN' });
    expect((await make('', true)).kind).toBe('ExecCredential');
    await expect(make(info({ chainId: 'fork', clusterId: id('c') }), true)).rejects.toThrow('fork');
  });

  test.each([
    ['no JSON', 'x'],
    ['an earlier version', info(undefined, 'v1alpha1')],
    ['another kind', '{"apiVersion":"client.authentication.k8s.io/v1","kind":"Status"}'],
  ])('exec information that is %s is refused', async (_name, text) => {
    await expect(make(text)).rejects.toMatchObject({ code: 'DAAS_LOGIN_EXEC_INFO' });
  });

  test.each([
    ['is missing', () => rm(file('login.json')), 'DAAS_LOGIN_FILE_UNREADABLE'],
    ['is no JSON', () => writeFile(file('login.json'), 'x'), 'DAAS_LOGIN_FILE_INVALID'],
    ['has another version', () => writeFile(file('login.json'), '{"version":3}'), 'DAAS_LOGIN_FILE_INVALID'],
    [
      'has a member more',
      () => writeFile(file('login.json'), JSON.stringify({ version: 1, ...login, keyFile: 'k', x: 1 })),
      'DAAS_LOGIN_FILE_INVALID',
    ],
    [
      'names a wallet that is none',
      () =>
        writeFile(
          file('login.json'),
          loginFileText({ ...login, wallet: 'system:admin', key: { kind: 'file', file: 'k' } }),
        ),
      'DAAS_LOGIN_FILE_INVALID',
    ],
    ['can be written by others', () => chmod(file('login.json'), 0o666), 'DAAS_FILE_UNTRUSTED'],
    ['names a key that is missing', () => rm(file('login.key')), 'DAAS_LOGIN_KEY_UNREADABLE'],
    ['names a key that others can read', () => chmod(file('login.key'), 0o644), 'DAAS_NODE_KEY_EXPOSED'],
    [
      'names a key of another kind',
      () =>
        writeFile(
          file('login.key'),
          generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
        ),
      'DAAS_LOGIN_KEY_INVALID',
    ],
  ])('a login file that %s is named, and nothing is signed', async (_name, spoil, code) => {
    await spoil();
    await expect(make()).rejects.toMatchObject({ code });
  });

  test('flags that the fast entry does not know go to the command tree', () => {
    expect(credentialFlags(['--login', 'f'])).toEqual({ loginFile: 'f', anyCaller: false });
    expect(credentialFlags(['--any-caller', '--login', 'f'])).toEqual({ loginFile: 'f', anyCaller: true });
    for (const args of [[], ['--help'], ['--login'], ['--login', 'f', '--json'], ['f']])
      expect(credentialFlags(args)).toBeUndefined();
  });
});
