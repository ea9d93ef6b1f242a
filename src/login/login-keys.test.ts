import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Secret } from '#base';
import { makeCredential } from './credential.ts';
import { decryptKey, encryptKey } from './encrypted-key.ts';
import { readFromKeyring, storeInKeyring } from './keyring.ts';
import { isEncrypted, type LoginKey, loginFileText } from './login-file.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const raw = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'));
const passphrase = new Secret('correct horse');
const subject = { chainId: 'chain', clusterId: id('c'), wallet: id('1'), sealTokenId: id('a') };
const has = (program: string) => spawnSync(program, ['--version']).status !== null;

let directory = '';
const file = (name: string) => join(directory, name);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'login-keys-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true, force: true });
});

const isSame = (key: ReturnType<typeof decryptKey>) =>
  createPublicKey(key).export({ format: 'jwk' }).x === publicKey.export({ format: 'jwk' }).x;

describe('a key under a passphrase', () => {
  test('is opened by it and by no other, and the error quotes neither', () => {
    const pem = encryptKey(privateKey, passphrase);
    expect(isEncrypted(pem)).toBe(true);
    expect(isSame(decryptKey(pem, passphrase, 'login.key'))).toBe(true);
    expect(() => decryptKey(pem, new Secret('wrong'), 'login.key')).toThrow(
      expect.objectContaining({ code: 'DAAS_LOGIN_PASSPHRASE_WRONG' }),
    );
    // Salt and vector are new each time.
    expect(encryptKey(privateKey, passphrase)).not.toBe(pem);
  });

  test.skipIf(!has('openssl'))('is what openssl reads and writes (needs openssl)', async () => {
    await writeFile(file('ours.pem'), encryptKey(privateKey, passphrase));
    const openssl = (...args: string[]) => execFileSync('openssl', args, { encoding: 'utf8' });
    const plain = openssl('pkey', '-in', file('ours.pem'), '-passin', 'pass:correct horse');
    expect(plain).toBe(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await writeFile(file('plain.pem'), plain);
    const written = openssl(
      ...`pkcs8 -topk8 -scrypt -in ${file('plain.pem')} -passout`.split(' ').concat('pass:correct horse'),
    );
    expect(isSame(decryptKey(written, passphrase, 'login.key'))).toBe(true);
  });
});

describe('a login whose key has a passphrase', () => {
  const execInfo = (interactive: boolean) =>
    JSON.stringify({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: { interactive, cluster: { config: { chainId: 'chain', clusterId: id('c') } } },
    });
  beforeEach(async () => {
    await writeFile(file('login.key'), encryptKey(privateKey, passphrase), { mode: 0o600 });
    const key: LoginKey = { kind: 'file', file: 'login.key' };
    await writeFile(file('login.json'), loginFileText({ ...subject, key }));
  });

  test('is not asked for where the caller keeps its terminal', async () => {
    const request = { loginFile: file('login.json'), anyCaller: false, nowMs: Date.now() };
    await expect(makeCredential({ ...request, execInfo: execInfo(false) })).rejects.toMatchObject({
      code: 'DAAS_LOGIN_PASSPHRASE_NEEDED',
      message: expect.stringContaining('ssh-agent'),
    });
  });

  /** As kubectl runs it: a terminal, and standard input that may be a manifest. */
  async function inTerminal(typed: string): Promise<string> {
    const start = join(import.meta.dirname, '..', 'start.ts');
    const line = `${process.execPath} --conditions=source ${start} credential --login ${file('login.json')} </dev/null`;
    const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
      env: { ...process.env, KUBERNETES_EXEC_INFO: execInfo(true) },
    });
    let written = '';
    let isTyped = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      written += text;
      if (isTyped || !written.includes('Passphrase of ')) return;
      isTyped = true;
      child.stdin.write(`${typed}\r`);
    });
    await new Promise((resolve) => child.once('close', resolve));
    return written;
  }

  test.skipIf(!has('script'))(
    'is asked for it on the terminal, which does not show it (needs script)',
    { timeout: 60_000 },
    async () => {
      const written = await inTerminal('correct horse');
      expect(written).toContain('"kind":"ExecCredential"');
      expect(written).not.toContain('correct horse');
      expect(await inTerminal('wrong')).toContain('DAAS_LOGIN_PASSPHRASE_WRONG');
    },
  );
});

describe('a key in the keyring', () => {
  /** Behaves as secret-tool does with an item for each key. */
  const fake = async (lines: string) => {
    await mkdir(file('bin'), { recursive: true });
    await writeFile(file('bin/secret-tool'), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
    vi.stubEnv('PATH', `${file('bin')}:/usr/bin:/bin`);
  };
  const working = () =>
    fake(`printf '%s\\n' "$*" >>${file('arguments')}
for last; do :; done
case $1 in
  store) cat >${file('item')}-"$last" ;;
  lookup) [ -e ${file('item')}-"$last" ] || exit 1; cat ${file('item')}-"$last" ;;
esac`);

  test('comes out as it went in, signs, and is in no argument', async () => {
    await working();
    storeInKeyring(raw, privateKey, 'linux');
    expect(isSame(readFromKeyring(raw, 'linux'))).toBe(true);
    const secret = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
    expect(await readFile(file('arguments'), 'utf8')).not.toContain(secret);
    const key: LoginKey = { kind: 'keyring', publicKey: raw };
    await writeFile(file('login.json'), loginFileText({ ...subject, key }));
    const made = await makeCredential({
      loginFile: file('login.json'),
      execInfo: '',
      anyCaller: true,
      nowMs: Date.now(),
    });
    expect(made).toContain('"token":"seal_');
  });

  test('is not asked for by a program that lies in the working directory, where PATH is empty', async () => {
    const script = join(import.meta.dirname, 'keyring.ts');
    await mkdir(file('here'));
    await writeFile(file('here/secret-tool'), `#!/bin/sh\ntouch ${file('ran')}\n`, { mode: 0o755 });
    const line = `const { readFromKeyring } = await import(${JSON.stringify(script)});
try { readFromKeyring(new Uint8Array(32), 'linux'); } catch ({ code }) { console.log(code); }`;
    spawnSync(process.execPath, ['--conditions=source', '--input-type=module', '--eval', line], {
      cwd: file('here'),
      env: { PATH: '' },
    });
    await expect(readFile(file('ran'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('that is not there, or is another, is named', async () => {
    await working();
    expect(() => readFromKeyring(raw, 'linux')).toThrow(
      expect.objectContaining({ code: 'DAAS_LOGIN_KEYRING_NO_KEY' }),
    );
    storeInKeyring(raw, generateKeyPairSync('ed25519').privateKey, 'linux');
    expect(() => readFromKeyring(raw, 'linux')).toThrow(
      expect.objectContaining({ code: 'DAAS_LOGIN_KEYRING_NO_KEY' }),
    );
  });

  test.each([
    ['has no keyring to ask', 'echo "Cannot autolaunch D-Bus without X11 \\$DISPLAY" >&2; exit 1'],
    ['fails', 'exit 7'],
    ['writes without end', 'cat /dev/zero'],
  ])('by a command that %s is an error', async (_name, lines) => {
    await fake(lines);
    expect(() => readFromKeyring(raw, 'linux')).toThrow(
      expect.objectContaining({ code: 'DAAS_LOGIN_KEYRING_UNAVAILABLE' }),
    );
  });

  test('of macOS goes to `security` by its standard input', () => {
    if (process.platform === 'darwin') return;
    expect(() => storeInKeyring(raw, privateKey, 'darwin')).toThrow(
      expect.objectContaining({
        code: 'DAAS_LOGIN_KEYRING_UNAVAILABLE',
        message: expect.stringContaining('security'),
      }),
    );
  });

  const session = ['dbus-run-session', 'gnome-keyring-daemon', 'secret-tool'];
  const missing = session.filter((program) => !has(program));
  test.skipIf(missing.length > 0)(
    `is kept by a real keyring (${missing.length > 0 ? `needs ${missing.join(', ')}` : session.join(', ')})`,
    async () => {
      await writeFile(
        file('keyring.ts'),
        `import { createPublicKey, generateKeyPairSync } from 'node:crypto';
const { readFromKeyring, storeInKeyring } = await import(${JSON.stringify(join(import.meta.dirname, 'keyring.ts'))});
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const x = publicKey.export({ format: 'jwk' }).x;
const raw = Buffer.from(x, 'base64url');
try { readFromKeyring(raw); } catch ({ code }) { console.log(code); }
storeInKeyring(raw, privateKey);
console.log(createPublicKey(readFromKeyring(raw)).export({ format: 'jwk' }).x === x);
`,
      );
      const line = `printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null && exec ${process.execPath} --conditions=source ${file('keyring.ts')}`;
      const said = execFileSync('dbus-run-session', ['--', 'sh', '-c', line], {
        encoding: 'utf8',
        env: { ...process.env, HOME: directory, XDG_RUNTIME_DIR: directory, XDG_DATA_HOME: directory },
      });
      expect(said.trim().split('\n')).toEqual(['DAAS_LOGIN_KEYRING_NO_KEY', 'true']);
    },
  );
});
