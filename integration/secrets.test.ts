import { createPrivateKey } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeSuiPrivateKey } from '@mysten/sui/cryptography';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { freePort } from './world/free-port.ts';
import { FreezeProxy } from './world/freeze-proxy.ts';
import { bearerOf } from './world/outsider.ts';
import type { Program } from './world/program.ts';
import { SUI, type Worker, World } from './world/world.ts';

/** A planted value, in every form in which it could be written down. */
interface Planted {
  readonly name: string;
  readonly forms: readonly string[];
  /** The one file that may hold it, with mode 0600. */
  readonly home: string;
}

let world: World;
let gateway: FreezeProxy;
let chain: FreezeProxy;
let byFile: Worker;
let byEnvironment: Worker;
let host: Program;
let secondHost: Program;
let planted: readonly Planted[];
/** The key that its operator gave by the environment: one process may have it. */
let environmentKey: string;
const answers: string[] = [];

beforeAll(async () => {
  // Everything that a log could say.
  process.env.K3S_DAAS_LOG_LEVEL = 'debug';
  world = await World.start({ gateway: { listen: { host: '127.0.0.1', port: await freePort() } } });
  const { gateway: config } = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8'));
  gateway = await FreezeProxy.start({
    upstream: `https://127.0.0.1:${config.listen.port}`,
    port: Number(new URL(world.gatewayUrl).port),
    tls: {
      cert: await readFile(config.tls.certFile, 'utf8'),
      key: await readFile(config.tls.keyFile, 'utf8'),
    },
  });
  chain = await FreezeProxy.start({ upstream: world.chain.url });
  const through = { chain: { endpoints: [chain.url], deployment: world.deploymentFile } };

  byFile = await world.worker('by-file', { config: through });
  const wallet = await world.chain.wallet(100n);
  environmentKey = wallet.secretKey;
  byEnvironment = await world.workerOf('by-environment', wallet, {
    config: { ...through, wallet: {} },
    env: { K3S_DAAS_WALLET_KEY: environmentKey },
  });
  host = byFile.start();
  secondHost = byEnvironment.start();
  await Promise.all(
    [host, secondHost].map(async (program) => {
      await program.event('agent.ready');
      await program.event('heartbeat.acknowledged');
    }),
  );
  planted = await plantedIn(config);
});
afterAll(async () => {
  delete process.env.K3S_DAAS_LOG_LEVEL;
  await world?.close();
  for (const proxy of [gateway, chain]) await proxy?.[Symbol.asyncDispose]();
});

async function plantedIn(config: {
  tls: { keyFile: string };
  kubeconfig: string;
}): Promise<readonly Planted[]> {
  const text = async (path: string) => (await readFile(path, 'utf8')).trim();
  const { wallet } = JSON.parse(await text(byFile.configFile));
  const operatorToken = join(world.directory, 'k3s-server', 'server', 'token');
  const signingKey = join(world.directory, 'gateway', 'signing.key');
  const kubeconfig = parse(await text(config.kubeconfig));
  const ofWorker = async (worker: Worker): Promise<Planted[]> => {
    const nodeKey = join(worker.stateDir, 'node.key');
    const password = join(worker.dataDir, 'agent/etc/rancher/node/password');
    const credential = bearerOf(await text(worker.tokenFile));
    return [
      { name: 'node key', forms: formsOfPem(await text(nodeKey)), home: nodeKey },
      { name: 'node password', forms: formsOfText(await text(password)), home: password },
      {
        name: 'join credential',
        forms: [...formsOfText(credential), ...formsOfText(credential.split('.')[1] ?? '')],
        home: worker.tokenFile,
      },
    ];
  };
  return [
    { name: 'wallet key', forms: formsOfWallet(await text(wallet.keyFile)), home: wallet.keyFile },
    {
      name: 'the operator’s k3s token',
      forms: formsOfText((await text(operatorToken)).replace(/^.*:/, '')),
      home: operatorToken,
    },
    {
      name: 'the gateway’s TLS key',
      forms: formsOfPem(await text(config.tls.keyFile)),
      home: config.tls.keyFile,
    },
    { name: 'the gateway’s signing key', forms: formsOfPem(await text(signingKey)), home: signingKey },
    {
      name: 'the gateway’s token for Kubernetes',
      forms: formsOfText(kubeconfig.users[0].user.token),
      home: config.kubeconfig,
    },
    ...(await ofWorker(byFile)),
    ...(await ofWorker(byEnvironment)),
  ].map((one) => {
    // Too short a form would be found anywhere, an empty one everywhere.
    expect(Math.min(...one.forms.map(({ length }) => length)), one.name).toBeGreaterThanOrEqual(16);
    return one;
  });
}

function formsOfText(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, '')];
}

function formsOfBytes(secret: Uint8Array): string[] {
  const bytes = Buffer.from(secret);
  return [bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')];
}

const formsOfWallet = (bech32: string): string[] => [
  bech32,
  ...formsOfBytes(decodeSuiPrivateKey(bech32).secretKey),
];

function formsOfPem(pem: string): string[] {
  const { d = '' } = createPrivateKey(pem).export({ format: 'jwk' });
  const body = pem.split('\n').filter((line) => !line.startsWith('-----'));
  return [...formsOfBytes(Buffer.from(d, 'base64url')), ...body.filter(({ length }) => length >= 24)];
}

/** Names of the planted values that stand in a text. */
const foundIn = (text: string): string[] =>
  planted.filter(({ forms }) => forms.some((form) => text.includes(form))).map(({ name }) => name);

test('each secret is in its own file, which only its owner can read, and that file is found', () => {
  for (const { name, home, forms } of planted) {
    expect(statSync(home).mode & 0o777, `${name}: ${home}`).toBe(0o600);
    // What is searched for below is really what stands there.
    const text = readFileSync(home, 'latin1');
    expect(
      forms.some((form) => text.includes(form)),
      name,
    ).toBe(true);
  }
});

test('no environment and no command line of any process holds one', () => {
  const found = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) =>
      ['environ', 'cmdline'].flatMap((file) =>
        foundIn(readProc(pid, file)).map((name) => ({ pid, file, name })),
      ),
    );
  expect(found).toEqual([]);
});

test('a wallet key that the operator gives by the environment is in that one process, and reaches no child', () => {
  const holders = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => formsOfWallet(environmentKey).some((form) => readProc(pid, 'environ').includes(form)));
  expect(holders).toEqual([String(secondHost.pid)]);
  const children = readFileSync(`/proc/${secondHost.pid}/task/${secondHost.pid}/children`, 'utf8');
  expect(children.trim()).not.toBe('');
});

test('refusals, the printed configuration, health and the operator’s list tell none', async () => {
  const config = JSON.parse(await readFile(byFile.configFile, 'utf8'));
  const key = (await readFile(config.wallet.keyFile, 'utf8')).trim();
  // These hold the key by their user's own will, so they are gone before files are searched.
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-secrets-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const fileOf = async (name: string, content: object) => {
    const path = join(directory, name);
    await writeFile(path, JSON.stringify(content), { mode: 0o600 });
    return path;
  };
  // A mistake in a key, or beside it, is the moment when a program likes to quote it.
  const broken = await fileOf('broken.json', {
    nodeId: 'x',
    wallet: { key: `${key} ` },
    chain: { endpoint: 1 },
  });
  const twice = await fileOf('twice.json', { wallet: { key }, sui_private_key: `${key}0` });
  const wrong = await fileOf('wrong.json', {
    ...config,
    stateDir: join(directory, 'other'),
    wallet: { key: key.replace(/.$/, '1') },
  });
  const own = await fileOf('own.json', { ...config, stateDir: join(directory, 'state') });
  const socket = join(world.directory, 'gateway', 'state', 'operator.sock');
  const runs = await Promise.all([
    world.command('agent', '--config', broken),
    world.command('agent', '--config', twice, '--json'),
    world.command('config', '--config', byFile.configFile, '--json'),
    world.command('gateway', 'nodes', '--socket', socket, '--json'),
    world.command('agent', '--config', wrong, '--json'),
    world.command('agent', '--config', own, '--json', '--token', 'abcdef.0123456789abcdef'),
  ]);
  expect(runs.map(({ code }) => code)).toEqual([78, 78, 0, 0, 78, 78]);
  for (const { tail, lines } of runs) answers.push(tail, JSON.stringify(lines));
  const { healthUrl: health } = (await host.event('host.started')) as { healthUrl?: string };
  answers.push(await (await fetch(`${health}/readyz`)).text());
  expect(answers.flatMap(foundIn)).toEqual([]);
  expect(answers.join('\n')).not.toContain('0123456789abcdef');
});

test('what workers and gateway say to each other holds none but the credential, in the reply to its own node', () => {
  const registrations = gateway.seen.filter(({ path }) => path === '/api/v1/register-worker');
  for (const { body, reply } of registrations) {
    const { node_id: nodeId } = JSON.parse(body.toString());
    const own = planted.filter(({ home }) => home.includes(`/${nodeId}/`) && home.endsWith('join-token'));
    const allowed = own.flatMap(({ forms }) => forms);
    expect(own).toHaveLength(1);
    const others = planted.filter(({ forms }) => !forms.some((form) => allowed.includes(form)));
    for (const { name, forms } of others)
      expect(
        forms.some((form) => reply.includes(form)),
        name,
      ).toBe(false);
    expect(reply.includes(allowed[0] ?? '')).toBe(true);
  }
  expect(registrations).toHaveLength(2);
  for (const { path, headers, body, reply } of gateway.seen) {
    const sent = `${path} ${JSON.stringify(headers)} ${body.toString('latin1')}`;
    expect(foundIn(sent)).toEqual([]);
    if (path !== '/api/v1/register-worker') expect(foundIn(reply.toString('latin1'))).toEqual([]);
  }
  // Nor does a full node get to see any, however bytes are packed.
  expect(chain.seen.length).toBeGreaterThan(0);
  for (const { body, reply } of chain.seen)
    for (const bytes of [body, reply])
      expect(foundIn(bytes.toString('latin1')).concat(rawIn(bytes))).toEqual([]);
});

/** Keys as bytes, as BCS and protobuf would carry them. */
const rawIn = (bytes: Buffer): string[] =>
  planted
    .filter(({ forms }) =>
      forms.some((form) => /^[0-9a-f]{64}$/.test(form) && bytes.includes(Buffer.from(form, 'hex'))),
    )
    .map(({ name }) => name);

test('no file holds one but its own: logs at level debug, journals, state, audit, database', async () => {
  // A failure, a restart and an end, so that their words are in the logs as well.
  world.gateway.kill('SIGKILL');
  await world.gateway.exited;
  await host.event('heartbeat.failed', { from: host.lines.length });
  await world.restartGateway();
  await host.event('heartbeat.acknowledged', { from: host.lines.length });
  await host.stop();
  const again = byFile.start();
  await again.event('agent.ready');
  await again.stop();

  const homes = new Map<string, string[]>();
  for (const { home, name } of planted) homes.set(home, [...(homes.get(home) ?? []), name]);
  const files = [world.directory, world.runtimeDir, world.chain.directory].flatMap(filesBelow);
  const names = files.map((file) => file.slice(file.lastIndexOf('/') + 1));
  for (const name of [
    'journal.json',
    'audit.jsonl',
    'gateway.db',
    'by-file.log',
    'gateway.log',
    'k3s-server.log',
  ])
    expect(names).toContain(name);
  const found = files.flatMap((file) =>
    foundIn(readFileSync(file, 'latin1'))
      .filter((name) => !homes.get(file)?.includes(name))
      .map((name) => ({ file, name })),
  );
  expect(found).toEqual([]);
});

test('a slashed worker’s join credential is wiped', async () => {
  expect(existsSync(byEnvironment.tokenFile)).toBe(true);
  const { recordId } = (await secondHost.event('stake.created')) as { recordId?: string };
  await world.slash(recordId ?? '', 2n * SUI, 'double signing');
  expect((await secondHost.exited).code).toBe(77);
  expect(existsSync(byEnvironment.tokenFile)).toBe(false);
});

/** Empty for a process that has ended or is the kernel's. */
function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
