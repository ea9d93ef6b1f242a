import { execFile } from 'node:child_process';
import { chmod, chown, lchown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLog } from '#base';
import { readDeployment, readWallet } from '#chain';
import { discoverPlugin, readLatch } from '#host';
import { acquireLock, openJournal } from '#infrastructure';
import { openNodePassword, readNodeKey } from '#seal';
import { openSqliteEngine } from '#state';
import { checkRights, readPlan } from '../src/agent/agent-plan.ts';
import { findBinary } from '../src/agent/binary.ts';
import { readK3sConfig } from '../src/agent/k3s-config.ts';
import { AgentSettings } from '../src/agent/settings.ts';
import { openTokenFile } from '../src/agent/token-file.ts';
import { ensureGatewayKeys } from '../src/cli/gateway-keys.ts';
import { readHolderKey } from '../src/cli/holder-key.ts';
import { loadWorkerSettings } from '../src/cli/settings.ts';
import { loadKubeconfig } from '../src/cluster/kube-api.ts';
import { openAudit } from '../src/gateway/audit.ts';
import { joinTokenHead, readTls } from '../src/gateway/server-files.ts';
import { ourProgram } from './world/program.ts';

const isRoot = process.geteuid?.() === 0;
/** A user who is neither root nor we: `nobody`. */
const stranger = 65_534;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'trusted-'));
  await chmod(directory, 0o755);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

interface TrustedFile {
  readonly what: string;
  /** Relative to its directory. */
  readonly name?: string;
  /** Default: `x`. */
  readonly content?: string;
  readonly mode?: number;
  /** Set for secrets: the code of the refusal when others can read it. */
  readonly exposed?: string;
  /** Default: `DAAS_FILE_UNTRUSTED`. */
  readonly code?: string;
  read(path: string): unknown;
}

const hex = '07'.repeat(32);
const plugin = `export default {
  api: 1, name: 'planted', setup: () => ({}),
  config: { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } },
};`;
const kubeconfig = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:6443' } }],
  users: [{ name: 'u', user: { token: 't' } }],
  contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
  'current-context': 'x',
});
const builtIns = {};
const read = (path: string) => discoverPlugin({ use: path }, { builtIns, directory: dirname(path) });
const beside = (path: string, name: string) => join(dirname(path), name);

/** Every file whose content decides what root runs, whom it believes, or what it signs. */
const files: readonly TrustedFile[] = [
  {
    what: 'the configuration',
    name: 'k3s-daas.json',
    content: '{"chain":{"endpoints":["http://127.0.0.1:9"]}}',
    read: (path) => loadWorkerSettings({ file: path, env: {} }),
  },
  { what: 'a plugin', name: 'plugin.mjs', content: plugin, read },
  {
    what: 'a module that a plugin imports',
    name: 'part.mjs',
    content: 'export {};',
    read: async (path) => {
      const entry = join(directory, 'entry.mjs');
      await writeFile(entry, `import ${JSON.stringify(path)};\n${plugin}`);
      return read(entry);
    },
  },
  {
    what: 'the manifest of a plugin',
    name: 'package.json',
    content: '{"main":"plugin.mjs"}',
    read: async (path) => {
      await writeFile(beside(path, 'plugin.mjs'), plugin);
      return discoverPlugin({ use: dirname(path) }, { builtIns, directory });
    },
  },
  {
    what: 'the wallet key',
    content: hex,
    exposed: 'DAAS_WALLET_KEY_EXPOSED',
    read: (path) => readWallet(path),
  },
  { what: 'the node key', content: hex, exposed: 'DAAS_NODE_KEY_EXPOSED', read: (path) => readNodeKey(path) },
  {
    what: 'the node password',
    content: hex,
    exposed: 'DAAS_NODE_PASSWORD_EXPOSED',
    read: (path) => openNodePassword(path),
  },
  { what: 'the public key of a node', content: hex, read: (path) => readHolderKey(path) },
  {
    what: 'the deployment file',
    content: JSON.stringify({
      chainId: '9QFYpEsRmyyQTDKVBYbPxHwqQk7rPbVgYTqgHjGPjGhY',
      packageId: '0x1',
      clusterId: '0x2',
    }),
    read: (path) => readDeployment(path),
  },
  {
    what: 'k3s’ config file',
    name: 'config.yaml',
    content: 'debug: true',
    read: (path) => readK3sConfig(path),
  },
  {
    what: 'a drop-in of k3s’ config file',
    name: 'config.yaml.d/a.yaml',
    content: 'debug: true',
    read: (path) => readK3sConfig(dirname(path).slice(0, -2)),
  },
  { what: 'the k3s binary', name: 'k3s', mode: 0o755, read: (path) => findBinary(path, {}) },
  {
    what: 'a k3s binary found on PATH',
    name: 'k3s',
    mode: 0o755,
    read: (path) => findBinary('k3s', { PATH: dirname(path) }),
  },
  {
    what: 'the join token',
    name: 'join-token',
    exposed: 'DAAS_JOIN_TOKEN_EXPOSED',
    read: async (path) => (await openTokenFile(path, silentLog)).read(),
  },
  { what: 'the journal', content: '{}', read: (path) => openJournal(path) },
  {
    what: 'the lock',
    content: '{}',
    read: async (path) => (await acquireLock(path, 'it'))[Symbol.asyncDispose](),
  },
  { what: 'the latch', name: 'latch.json', content: '{}', read: (path) => readLatch(dirname(path)) },
  {
    what: 'the TLS key of the gateway',
    content: hex,
    exposed: 'DAAS_GATEWAY_KEY_EXPOSED',
    read: async (path) => {
      await makeKeys(path);
      return readTls({ certFile: beside(path, 'made.crt'), keyFile: path }).catch(onlyTrust);
    },
  },
  {
    what: 'the certificate of the gateway',
    read: (path) => readTls({ certFile: path, keyFile: path }).catch(onlyTrust),
  },
  {
    what: 'the signing key of the gateway',
    name: 'signing.key',
    exposed: 'DAAS_GATEWAY_KEY_EXPOSED',
    read: (path) =>
      ensureGatewayKeys(
        { certFile: beside(path, 'made.crt'), keyFile: beside(path, 'made.key'), signingKeyFile: path },
        ['localhost'],
      ).catch(onlyTrust),
  },
  {
    what: 'the CA of the k3s server',
    read: (path) =>
      joinTokenHead({ server: 'https://k3s:6443', serverCaFile: path }, silentLog).catch(onlyTrust),
  },
  {
    what: 'the kubeconfig of the gateway',
    content: kubeconfig,
    exposed: 'DAAS_KUBECONFIG_EXPOSED',
    read: (path) => loadKubeconfig({ path, isPrivate: true }),
  },
  {
    what: 'the kubeconfig of an administrator',
    content: kubeconfig,
    read: (path) => loadKubeconfig({ path }),
  },
  {
    what: 'the state file of the gateway',
    content: '',
    read: async (path) => openSqliteEngine(path)[Symbol.asyncDispose](),
  },
  {
    what: 'the audit file of the gateway',
    content: '',
    read: async (path) => (await openAudit(path, () => 0))[Symbol.asyncDispose](),
  },
  {
    what: 'an audit file that was put aside',
    name: 'audit-until-000000000001.jsonl',
    content: '',
    read: async (path) => (await openAudit(beside(path, 'audit.jsonl'), () => 0))[Symbol.asyncDispose](),
  },
];

/** What is wrong with the content is another test's: here only trust matters. */
function onlyTrust(error: unknown): unknown {
  const { code } = error as { code?: string };
  if (code === 'DAAS_FILE_UNTRUSTED' || code?.endsWith('_EXPOSED')) throw error;
  return undefined;
}

async function makeKeys(path: string): Promise<void> {
  const certFile = beside(path, 'made.crt');
  await ensureGatewayKeys(
    { certFile, keyFile: beside(path, 'made.key'), signingKeyFile: beside(path, 'made.signing') },
    ['localhost'],
  );
}

async function arrange({ name = 'file', content = 'x', mode = 0o600 }: TrustedFile): Promise<string> {
  const path = join(directory, 'inner', name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content, { mode });
  return path;
}

describe.each(files)('$what', (file) => {
  const attempt = async (path: string) => file.read(path);
  const refused = (culprit: string) => ({
    code: 'DAAS_FILE_UNTRUSTED',
    exitCode: 78,
    message: expect.stringContaining(culprit),
  });

  test('is read when only its owner can write it', async () => {
    await attempt(await arrange(file));
  });

  test('is refused when others can write it', async () => {
    const path = await arrange(file);
    await chmod(path, ((await stat(path)).mode & 0o777) | 0o022);
    await expect(attempt(path)).rejects.toMatchObject(refused(path));
  });

  test('is refused when others can write into a directory above it', async () => {
    const path = await arrange(file);
    await chmod(join(directory, 'inner'), 0o777);
    await expect(attempt(path)).rejects.toMatchObject(refused(join(directory, 'inner')));
  });

  test.skipIf(!file.exposed)('is refused when others can read it', async () => {
    const path = await arrange(file);
    await chmod(path, 0o644);
    await expect(attempt(path)).rejects.toMatchObject({ code: file.exposed, exitCode: 78 });
  });

  test.skipIf(!isRoot)('is refused when another user owns it (needs root)', async () => {
    const path = await arrange(file);
    await chown(path, stranger, stranger);
    await expect(attempt(path)).rejects.toMatchObject(refused(`uid ${stranger}`));
  });

  test.skipIf(!isRoot)('is refused when another user owns a directory above it (needs root)', async () => {
    const path = await arrange(file);
    await chown(join(directory, 'inner'), stranger, stranger);
    await expect(attempt(path)).rejects.toMatchObject(refused(join(directory, 'inner')));
  });

  test.skipIf(!isRoot)(
    'is refused through a link of another user in a shared directory (needs root)',
    async () => {
      await arrange(file);
      const shared = join(directory, 'shared');
      await mkdir(shared);
      await chmod(shared, 0o1777);
      await symlink(join(directory, 'inner'), join(shared, 'link'));
      await lchown(join(shared, 'link'), stranger, stranger);
      const path = join(shared, 'link', file.name ?? 'file');
      await expect(attempt(path)).rejects.toMatchObject({
        code: expect.stringMatching(/^DAAS_(FILE_UNTRUSTED|RUNTIME_DIR_FOREIGN)$/),
      });
    },
  );
});

describe.each([
  ['the state directory', (path: string) => openJournal(join(path, 'journal.json'))],
  [
    'the data directory of k3s',
    async (path: string) =>
      checkRights({
        ...(await readPlan(AgentSettings.parse({ args: [`--data-dir=${path}`] }), {}, 'w1')),
        isRootless: true,
      }),
  ],
  ['the runtime directory', (path: string) => openTokenFile(join(path, 'w1', 'join-token'), silentLog)],
  [
    'the directory of the gateway’s state',
    async (path: string) => openSqliteEngine(join(path, 'gateway.db'))[Symbol.asyncDispose](),
  ],
])('%s', (_what, open) => {
  test('is refused when others can write into it', async () => {
    const path = join(directory, 'state');
    await mkdir(path);
    await chmod(path, 0o777);
    await expect((async () => open(path))()).rejects.toMatchObject({
      code: 'DAAS_FILE_UNTRUSTED',
      exitCode: 78,
    });
  });

  test.skipIf(!isRoot)('is refused with mode 775 of another owner (needs root)', async () => {
    const path = join(directory, 'state');
    await mkdir(path);
    await chmod(path, 0o775);
    await chown(path, stranger, stranger);
    await expect((async () => open(path))()).rejects.toMatchObject({
      code: 'DAAS_FILE_UNTRUSTED',
      message: expect.stringContaining(`chown ${process.geteuid?.()} ${path}`),
    });
  });
});

test.skipIf(!isRoot)(
  'root runs no code from a directory of a stranger, found or named (needs root)',
  async () => {
    const home = join(directory, 'home');
    await mkdir(home);
    const mark = join(home, 'root-was-here');
    // What a stranger leaves for root to find: all of it is written by the stranger's own process.
    await chown(home, stranger, stranger);
    const planted = {
      'k3s-daas.json': JSON.stringify({
        chain: { endpoints: ['http://127.0.0.1:9'] },
        nodeId: 'w1',
        plugins: [{ use: './evil.cjs' }],
      }),
      'evil.cjs': `require('node:fs').writeFileSync(${JSON.stringify(mark)}, 'x');`,
    };
    await promisify(execFile)(
      process.execPath,
      [
        '--eval',
        `for (const [name, text] of Object.entries(${JSON.stringify(planted)})) { require('node:fs').writeFileSync(name, text); require('node:fs').chmodSync(name, 0o666); }`,
      ],
      { cwd: home, uid: stranger, gid: stranger },
    );
    await chmod(home, 0o777);
    const [node, ...first] = ourProgram;
    const runs = [
      {
        words: ['config', '--check'],
        code: 'DAAS_CONFIG_INVALID',
        says: 'root searches no working directory',
      },
      { words: ['agent'], code: 'DAAS_CONFIG_INVALID', says: 'root searches no working directory' },
      {
        words: ['config', '--check', '--config', 'k3s-daas.json'],
        code: 'DAAS_FILE_UNTRUSTED',
        says: 'chmod go-w',
      },
      { words: ['agent', '--config', 'k3s-daas.json'], code: 'DAAS_FILE_UNTRUSTED', says: home },
    ];
    for (const { words, code, says } of runs) {
      const failure = (await promisify(execFile)(node, [...first, ...words, '--json'], {
        cwd: home,
        env: {},
      }).catch((error: unknown) => error)) as { code: number; stderr: string };
      expect(failure.code).toBe(78);
      const { error } = JSON.parse(failure.stderr.trim().split('\n').at(-1) ?? '') as {
        error: { code: string; message: string };
      };
      expect([words, error.code]).toEqual([words, code]);
      if (code === 'DAAS_CONFIG_INVALID') expect(error.message).toContain(says);
    }
    await expect(stat(mark)).rejects.toThrow(basename(mark));
  },
);

test('a secret is read from a pipe that our own shell has opened', async () => {
  const key = join(directory, 'key');
  await writeFile(key, hex, { mode: 0o600 });
  const script = `const { readWallet } = await import('#chain'); console.log((await readWallet('/dev/stdin')).address);`;
  const node = [process.execPath, '--conditions=source', '--input-type=module', '--eval', script];
  const { stdout } = await promisify(execFile)('sh', ['-c', `cat "$0" | "$@"`, key, ...node]);
  expect(stdout.trim()).toBe((await readWallet(key)).address);
});

test('a named pipe in the place of a file is refused at once, not waited for', async () => {
  const path = join(directory, 'pipe');
  await promisify(execFile)('mkfifo', ['-m', '600', path]);
  await expect(readWallet(path)).rejects.toMatchObject({ code: 'DAAS_FILE_UNTRUSTED' });
});
