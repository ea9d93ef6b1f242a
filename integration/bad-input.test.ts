import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from './world/free-port.ts';
import { chainClient, stakeAndMint } from './world/outsider.ts';
import type { Line, Program } from './world/program.ts';
import { SUI, type Worker, type WorkerOptions, World } from './world/world.ts';

/** Everything a user can get wrong, as he meets it: the program's own sentence and exit code, and nothing left behind. */
let world: World;
let sui: SuiGrpcClient;
beforeAll(async () => {
  world = await World.start({ gateway: { admit: { tellTakenNames: true } } });
  sui = chainClient(world.chain.url);
});
afterAll(() => world?.close());

interface End {
  readonly exitCode: number | null;
  readonly code: unknown;
  readonly sentence: string;
}

/** How a program ended: refused before it was a host, or as a host. */
async function endOf(program: Program): Promise<End> {
  const { code: exitCode } = await program.exited;
  const failures = program.lines.filter((line): line is Line & { error: Line } => 'error' in line);
  const failed = (failures.find(({ level }) => level === undefined) ?? failures.find(isEnd))?.error;
  return {
    exitCode,
    code: failed?.code,
    sentence: textOf(failed?.message) ?? program.tail(),
  };
}

const isEnd = ({ event }: Line) => event === 'host.ended';
const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** What a refused start may leave: the journal and the key in its own directory. */
const mayStay = new Set(['journal.json', 'node.key']);

async function expectNothingHalfDone({
  nodeId,
  wallet,
  stateDir,
  dataDir,
  directory,
}: Worker): Promise<void> {
  const { transactions } = await sui.core.listTransactions({ filter: { sender: wallet.address } });
  expect(transactions).toEqual([]);
  expect(await world.node(nodeId)).toBeUndefined();
  expect(processesThatName(directory)).toEqual([]);
  expect(filesBelow(stateDir).filter((file) => !mayStay.has(file))).toEqual([]);
  expect(filesBelow(dataDir)).toEqual([]);
  expect(filesBelow(join(world.runtimeDir, nodeId))).toEqual([]);
}

interface Case {
  /** What is wrong. */
  readonly wrong: string;
  readonly options: (nodeId: string) => WorkerOptions | Promise<WorkerOptions>;
  readonly before?: (worker: Worker) => Promise<void>;
  readonly exitCode: 78 | 75 | 77 | 1;
  readonly code: string;
  /** Value, origin and fix, as the sentence must name them. */
  readonly says: (worker: Worker) => ReadonlyArray<string | RegExp>;
}

const soon = { join: { deadlineMs: 20_000 } };

async function expectRefused(
  worker: Worker,
  { before, exitCode, code, says }: Omit<Case, 'wrong' | 'options'>,
): Promise<void> {
  await before?.(worker);
  const end = await endOf(worker.start());
  expect(end).toMatchObject({ exitCode, code });
  for (const part of says(worker))
    if (typeof part === 'string') expect(end.sentence).toContain(part);
    else expect(end.sentence).toMatch(part);
  await expectNothingHalfDone(worker);
}

function describeCases(name: string, prefix: string, cases: readonly Case[]): void {
  describe.concurrent(name, () => {
    test.each(cases.map((one, index) => ({ ...one, nodeId: `${prefix}-${index}` })))(
      '$wrong: $code, exit $exitCode',
      async ({ nodeId, options, ...one }) => {
        const given = await options(nodeId);
        const worker = await world.worker(nodeId, { ...given, config: { ...soon, ...given.config } });
        await expectRefused(worker, one);
      },
    );
  });
}

async function clingingPlugin(): Promise<string> {
  const file = join(await mkdtemp(join(world.directory, 'plugin-')), 'clinging.mjs');
  await writeFile(
    file,
    `const config = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
    setInterval(() => undefined, 60_000);
    export default { name: 'clinging', api: 1, config, setup() { throw new Error('no luck'); } };`,
  );
  return file;
}

const chainOf = (change: Record<string, unknown>) => ({
  config: { chain: { endpoints: [world.chain.url], deployment: world.deploymentFile, ...change } },
});

describeCases('the configuration', 'config', [
  {
    wrong: 'a key that there is not',
    options: () => ({ config: { joins: { deadlineMs: 1000 } } }),
    exitCode: 78,
    code: 'DAAS_CONFIG_INVALID',
    says: ({ configFile }) => ['joins', `file ${configFile}`, 'did you mean join?'],
  },
  {
    wrong: 'a nested key that there is not',
    options: () => chainOf({ timeout: 5 }),
    exitCode: 78,
    code: 'DAAS_CONFIG_INVALID',
    says: ({ configFile }) => ['chain.timeout', `file ${configFile}`, 'did you mean timeoutMs?'],
  },
  {
    wrong: 'a variable that there is not',
    options: () => ({ env: { K3S_DAAS_NODEID: 'x' } }),
    exitCode: 78,
    code: 'DAAS_CONFIG_INVALID',
    says: () => ['K3S_DAAS_NODEID', 'environment', 'did you mean K3S_DAAS_NODE_ID?'],
  },
  {
    wrong: 'wrong types, told all at once',
    options: () => ({
      config: { health: { port: 'many' }, drainDeadlineMs: -1, stake: { amountMist: 1.5 } },
    }),
    exitCode: 78,
    code: 'DAAS_CONFIG_INVALID',
    says: ({ configFile }) => [
      '3 problems',
      `health.port is "many" (file ${configFile})`,
      `drainDeadlineMs is -1 (file ${configFile})`,
      'stake.amountMist is 1.5',
      'MIST',
    ],
  },
  {
    wrong: 'no endpoint',
    options: () => ({ config: { chain: { deployment: world.deploymentFile } } }),
    exitCode: 78,
    code: 'DAAS_CONFIG_INVALID',
    says: () => ['chain.endpoints', 'missing', 'K3S_DAAS_CHAIN_ENDPOINTS'],
  },
  {
    wrong: 'no deployment',
    options: () => ({ config: { chain: { endpoints: [world.chain.url] } } }),
    exitCode: 78,
    code: 'DAAS_DEPLOYMENT_INVALID',
    says: () => ['chain.deployment', 'chainId'],
  },
  {
    wrong: 'a deployment file that is not there',
    options: () => chainOf({ deployment: '/nowhere/deployment.json' }),
    exitCode: 78,
    code: 'DAAS_DEPLOYMENT_UNREADABLE',
    says: () => ['/nowhere/deployment.json'],
  },
  {
    wrong: 'a node id with dots',
    options: () => ({ config: { nodeId: 'Worker.One' } }),
    exitCode: 78,
    code: 'DAAS_CONFIG_INVALID',
    says: ({ configFile }) => ['nodeId is "Worker.One"', configFile, 'DNS label'],
  },
  {
    wrong: 'a plugin that fails and clings',
    options: async () => ({ config: { plugins: [{ use: await clingingPlugin() }] } }),
    exitCode: 1,
    code: 'DAAS_PLUGIN_FAILED',
    says: () => ['clinging(setup)', 'no luck'],
  },
  {
    wrong: 'a plugin that there is not',
    options: () => ({ config: { plugins: [{ use: 'stakin' }] } }),
    exitCode: 78,
    code: 'DAAS_PLUGINS_INVALID',
    says: () => ['stakin', 'staking'],
  },
]);

describeCases('flags of k3s that are ours', 'ours', [
  ...(
    [
      ['--server', 'https://elsewhere:6443'],
      ['--token', 'K10abc::node:secret'],
      ['--token-file', '/etc/token'],
      ['--node-name', 'another'],
    ] as const
  ).map(
    ([flag, value]): Case => ({
      wrong: flag,
      options: () => ({ args: [flag, value] }),
      exitCode: 78,
      code: 'DAAS_AGENT_SETTING_CONFLICT',
      says: () => [flag, /leave --[a-z-]+ out/, /gateway|node id/],
    }),
  ),
  ...(['K3S_TOKEN', 'K3S_URL'] as const).map(
    (name): Case => ({
      wrong: `the environment variable ${name}`,
      options: () => ({ env: { [name]: 'https://elsewhere:6443' } }),
      exitCode: 78,
      code: 'DAAS_AGENT_SETTING_CONFLICT',
      says: () => [`environment variable ${name}`, `unset ${name}`],
    }),
  ),
  {
    wrong: 'k3s’ own config.yaml',
    options: () => ({}),
    before: ({ directory }) =>
      writeFile(join(directory, 'k3s-config.yaml'), 'server: https://elsewhere:6443\n'),
    exitCode: 78,
    code: 'DAAS_AGENT_SETTING_CONFLICT',
    says: ({ directory }) => ["'server'", join(directory, 'k3s-config.yaml'), 'remove the key'],
  },
  {
    wrong: 'with-node-id: yes, which YAML 1.1 takes for true',
    options: () => ({}),
    before: ({ directory }) => writeFile(join(directory, 'k3s-config.yaml'), 'with-node-id: yes\n'),
    exitCode: 78,
    code: 'DAAS_AGENT_SETTING_CONFLICT',
    says: ({ directory }) => ["'with-node-id'", join(directory, 'k3s-config.yaml')],
  },
]);

/** A program for another machine, which a shell would try to run as a script. */
async function foreignProgram(): Promise<string> {
  const file = join(await mkdtemp(join(world.directory, 'foreign-')), 'k3s');
  const head = Buffer.alloc(64);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18);
  await writeFile(file, head, { mode: 0o755 });
  return file;
}

describeCases('what k3s would find out after the stake', 'k3s', [
  ...(
    [
      [['--node-lable', 'a=b'], 'DAAS_AGENT_ARGUMENT_INVALID', ["'--node-lable'", 'put = between them']],
      [['--node-lable=a=b'], 'DAAS_AGENT_SETTINGS_REFUSED', ['flag provided but not defined: -node-lable']],
      [['--disable=traefik'], 'DAAS_AGENT_SETTINGS_REFUSED', ['flag provided but not defined: -disable']],
      [['--token K10abc::server:pw'], 'DAAS_AGENT_ARGUMENT_INVALID', ["'--token'", 'one word']],
      [['--server x'], 'DAAS_AGENT_ARGUMENT_INVALID', ["'--server'", 'one word']],
      [['--vmodule=b --debug=true'], 'DAAS_AGENT_ARGUMENT_INVALID', ['--vmodule', 'another flag']],
      [['--lb-server-port=x'], 'DAAS_AGENT_ARGUMENT_INVALID', ['--lb-server-port', 'whole number']],
      [
        ['--node-label=node-role.kubernetes.io/worker=true'],
        'DAAS_NODE_LABEL_INVALID',
        ['node-role.kubernetes.io/worker=true', 'kubectl label node'],
      ],
      [['--node-taint=a=b:Never'], 'DAAS_NODE_TAINT_INVALID', ['a=b:Never', 'NoExecute']],
    ] as const
  ).map(
    ([args, code, says]): Case => ({
      wrong: args.join(' '),
      options: () => ({ args }),
      exitCode: 78,
      code,
      says: () => says,
    }),
  ),
  {
    wrong: 'a program for another machine',
    options: async () => ({ config: { agent: { binary: await foreignProgram() } } }),
    exitCode: 78,
    code: 'DAAS_AGENT_BINARY_INVALID',
    says: () => ['it is built for', 'install k3s for this machine'],
  },
  {
    wrong: 'a key of k3s server in k3s’ config.yaml',
    options: () => ({}),
    before: ({ directory }) => writeFile(join(directory, 'k3s-config.yaml'), 'disable: traefik\n'),
    exitCode: 78,
    code: 'DAAS_AGENT_SETTINGS_REFUSED',
    says: ({ directory }) => ['not defined: -disable', join(directory, 'k3s-config.yaml')],
  },
]);

describe('a fault that only a running k3s finds', () => {
  test('ends the host with 78 after the first crash, in the words of k3s', async () => {
    const binary = join(await mkdtemp(join(world.directory, 'ending-')), 'k3s');
    const standin = join(import.meta.dirname, 'standin', 'agent', 'k3s');
    const words = 'Error: kubelet exited: failed to parse kubelet flag: unknown flag: --foo';
    await writeFile(
      binary,
      `#!/bin/sh
case "$1 $2" in
  "agent --help"|help*|--version*) exec ${standin} "$@";;
esac
echo x >> ${binary}.starts
echo 'time="2026-01-01T00:00:00Z" level=fatal msg="${words}"' >&2
exit 1
`,
      { mode: 0o755 },
    );
    const worker = await world.worker('k3s-ends', { config: { agent: { binary } } });
    const end = await endOf(worker.start());
    expect(end).toMatchObject({ exitCode: 78, code: 'DAAS_AGENT_SETTINGS_REFUSED' });
    expect(end.sentence).toContain('failed to parse kubelet flag: unknown flag: --foo');
    expect(await readFile(`${binary}.starts`, 'utf8')).toBe('x\n');
  });
});

describeCases('the machine', 'machine', [
  {
    wrong: 'no k3s binary',
    options: () => ({ config: { agent: { binary: '/opt/none/k3s' } } }),
    exitCode: 78,
    code: 'DAAS_AGENT_BINARY_MISSING',
    says: () => ["'/opt/none/k3s'", 'agent.binary', 'Install k3s'],
  },
  {
    wrong: 'a file where the state directory should be',
    options: () => ({ config: { stateDir: '/dev/null/state' } }),
    exitCode: 78,
    code: 'DAAS_STATE_DIR_UNUSABLE',
    says: () => ['/dev/null/state', 'stateDir'],
  },
  {
    wrong: 'a health port that somebody else has',
    options: () => ({
      config: { health: { host: '127.0.0.1', port: Number(new URL(world.gatewayUrl).port) } },
    }),
    exitCode: 75,
    code: 'DAAS_HEALTH_PORT_TAKEN',
    says: () => [new URL(world.gatewayUrl).port, 'choose another port'],
  },
]);

describeCases('the wallet', 'wallet', [
  {
    wrong: 'a key file that is not there',
    options: () => ({ config: { wallet: { keyFile: '/nowhere/wallet.key' } } }),
    exitCode: 78,
    code: 'DAAS_WALLET_KEY_UNREADABLE',
    says: () => ['/nowhere/wallet.key'],
  },
  {
    wrong: 'no key at all',
    options: () => ({ config: { wallet: {} } }),
    exitCode: 78,
    code: 'DAAS_WALLET_MISSING',
    says: () => ['wallet.keyFile'],
  },
  {
    wrong: 'a key file with something else in it',
    options: async (nodeId) => ({ config: { wallet: { keyFile: await fileOf(nodeId, 'not a key') } } }),
    exitCode: 78,
    code: 'DAAS_WALLET_KEY_INVALID',
    says: () => ['wallet.key', 'suiprivkey1'],
  },
  {
    wrong: 'a key file that others can read',
    options: async (nodeId) => {
      const keyFile = await fileOf(nodeId, Ed25519Keypair.generate().getSecretKey());
      await chmod(keyFile, 0o644);
      return { config: { wallet: { keyFile } } };
    },
    exitCode: 78,
    code: 'DAAS_WALLET_KEY_EXPOSED',
    says: () => ['644', 'chmod 600'],
  },
  {
    wrong: 'an address that is not the key’s',
    options: async (nodeId) => ({
      config: {
        wallet: {
          keyFile: await fileOf(nodeId, Ed25519Keypair.generate().getSecretKey()),
          address: `0x${'12'.repeat(32)}`,
        },
      },
    }),
    exitCode: 78,
    code: 'DAAS_WALLET_ADDRESS_MISMATCH',
    says: () => [`0x${'12'.repeat(32)}`],
  },
]);

describeCases('the chain and the stake', 'chain', [
  {
    wrong: 'a chain that does not answer before the deadline',
    options: () => ({
      config: {
        ...chainOf({ endpoints: ['http://127.0.0.1:9'] }).config,
        join: { deadlineMs: 5000 },
      },
    }),
    exitCode: 75,
    code: 'DAAS_JOIN_DEADLINE',
    says: () => ['5000 ms', 'join.deadlineMs', '127.0.0.1:9'],
  },
  {
    wrong: 'another chain than the configuration names',
    options: () =>
      chainOf({
        ...world.chain.deployment,
        deployment: undefined,
        chainId: '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD',
      }),
    exitCode: 78,
    code: 'DAAS_CHAIN_ID_MISMATCH',
    says: () => [
      '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD',
      world.chain.deployment.chainId,
      world.chain.url,
    ],
  },
  {
    wrong: 'a cluster that is not there',
    options: () =>
      chainOf({ ...world.chain.deployment, deployment: undefined, clusterId: `0x${'c1'.repeat(32)}` }),
    exitCode: 75,
    code: 'DAAS_CLUSTER_UNKNOWN',
    says: () => [`0x${'c1'.repeat(32)}`],
  },
  {
    wrong: 'an endpoint of the chain that the file and the configuration name differently',
    options: () => chainOf({ clusterId: `0x${'c1'.repeat(32)}` }),
    exitCode: 78,
    code: 'DAAS_DEPLOYMENT_MISMATCH',
    says: () => [`0x${'c1'.repeat(32)}`, world.chain.deployment.clusterId, world.deploymentFile],
  },
  {
    wrong: 'no amount to stake',
    options: () => ({ config: { stake: {} } }),
    exitCode: 78,
    code: 'DAAS_STAKE_AMOUNT_MISSING',
    says: () => ['stake.amountMist'],
  },
  {
    wrong: 'a stake below the cluster’s minimum',
    options: () => ({ stakeMist: 5n }),
    exitCode: 78,
    code: 'DAAS_STAKE_TOO_LOW',
    says: () => ['5 MIST', 'minimum of the cluster, 1 SUI'],
  },
  {
    wrong: 'more than the wallet holds',
    options: () => ({ stakeMist: 1000n * SUI }),
    exitCode: 78,
    code: 'DAAS_BALANCE_TOO_LOW',
    says: ({ wallet }) => [wallet.address, '1000 SUI', '100 SUI'],
  },
  {
    wrong: 'a gateway that is none of the chain’s',
    options: () => ({ config: { join: { gatewayUrl: 'https://mallory.example', deadlineMs: 20_000 } } }),
    exitCode: 78,
    code: 'DAAS_GATEWAY_NOT_ON_CHAIN',
    says: () => ['https://mallory.example', 'join.gatewayUrl', world.gatewayUrl],
  },
]);

describe('what others have done', () => {
  test('the node id is staked by another wallet: DAAS_NODE_ID_TAKEN, exit 78', async () => {
    const wallet = Ed25519Keypair.generate();
    await world.chain.devnet.faucet(wallet.toSuiAddress(), 10n * SUI);
    const other = await stakeAndMint(sui, world.chain.deployment, { nodeId: 'taken', wallet });
    await expectRefused(await world.worker('taken', { config: soon }), {
      exitCode: 78,
      code: 'DAAS_NODE_ID_TAKEN',
      says: () => ["'taken'", other.wallet.toSuiAddress(), other.recordId, 'choose another nodeId'],
    });
  });

  test('the name is that of a server, and the gateway tells such names: nothing is staked, exit 78', async () => {
    const worker = await world.worker('server', { config: soon });
    const before = await world.node('server');
    const end = await endOf(worker.start());
    expect(end).toMatchObject({ exitCode: 78, code: 'DAAS_GATEWAY_NAME_NOT_OURS' });
    expect(end.sentence).toContain('server');
    expect(await world.chain.balance(worker.wallet.address)).toBe(100n * SUI);
    expect(await world.node('server')).toEqual(before);
  });

  test('the token is for another key: DAAS_HOLDER_KEY_MISMATCH, exit 78', async () => {
    const wallet = await world.chain.wallet(100n);
    const { tokenId } = await stakeAndMint(sui, world.chain.deployment, {
      nodeId: 'moved',
      wallet: Ed25519Keypair.fromSecretKey(wallet.secretKey),
    });
    const end = await endOf((await world.workerOf('moved', wallet, { config: soon })).start());
    expect(end).toMatchObject({ exitCode: 78, code: 'DAAS_HOLDER_KEY_MISMATCH' });
    expect(end.sentence).toContain(tokenId);
    expect(await world.node('moved')).toBeUndefined();
  });

  test('a second host on one state directory is refused, and the first goes on', async () => {
    // Both would have the same health port: that it is taken is not what is wrong.
    const health = { host: '127.0.0.1', port: await freePort() };
    const worker = await world.worker('first', { config: { ...soon, ...chainOf({}).config, health } });
    const first = worker.start();
    await first.event('worker.registered');
    const end = await endOf(worker.start());
    expect(end).toMatchObject({ exitCode: 75, code: 'DAAS_LOCK_HELD' });
    expect(end.sentence).toContain(String(first.pid));
    expect(end.sentence).toContain(worker.stateDir);
    await first.event('agent.ready');
    await first.stop();
  });
});

describe.concurrent('the command line', () => {
  const run = async (...args: string[]) => {
    const { code, tail } = await world.command(...args);
    return { code, tail };
  };
  test('a command that there is not', async () => {
    expect(await run('agnet')).toMatchObject({ code: 78, tail: expect.stringContaining('agent') });
  });
  test('a configuration that is not there, and one that is code', async () => {
    expect(await run('agent', '--config', '/nowhere/k3s-daas.json', '--json')).toMatchObject({
      code: 78,
      tail: expect.stringMatching(
        /DAAS_CONFIG_UNREADABLE.*\/nowhere\/k3s-daas\.json|\/nowhere\/k3s-daas\.json.*/s,
      ),
    });
    const script = await fileOf('code', 'process.exit(0)', 'k3s-daas.js');
    expect(await run('agent', '--config', script, '--json')).toMatchObject({
      code: 78,
      tail: expect.stringContaining('DAAS_CONFIG_UNREADABLE'),
    });
  });

  const gatewayConfig = async (change: (config: Record<string, Record<string, unknown>>) => void) => {
    const config = JSON.parse(readFileSync(world.gatewayConfigFile, 'utf8'));
    change(config);
    return fileOf('gateway', JSON.stringify(config), 'k3s-daas.json');
  };
  test('a gateway whose section has a typo', async () => {
    const file = await gatewayConfig(({ gateway }) => {
      if (gateway) gateway.kubeconfg = 'x';
    });
    expect(await run('gateway', 'run', '--config', file, '--json')).toMatchObject({
      code: 78,
      tail: expect.stringContaining('did you mean kubeconfig?'),
    });
  });
  test('a gateway that does not know its id', async () => {
    const file = await gatewayConfig(({ gateway }) => {
      if (gateway) delete gateway.gatewayId;
    });
    expect(await run('gateway', 'run', '--config', file, '--json')).toMatchObject({
      code: 78,
      tail: expect.stringContaining('DAAS_GATEWAY_ID_MISSING'),
    });
  });
  test('a gateway on a port that another one has, with a state of its own', async () => {
    const stateDir = await directoryOf('state');
    const file = await gatewayConfig(({ gateway }) => {
      if (gateway) gateway.stateDir = stateDir;
    });
    const { code, tail } = await run('gateway', 'run', '--config', file, '--json');
    expect(code).toBe(75);
    expect(tail).toContain(new URL(world.gatewayUrl).port);
  });
  test('a gateway on the state of another one', async () => {
    const port = await freePort();
    const file = await gatewayConfig(({ gateway }) => {
      if (gateway) gateway.listen = { host: '127.0.0.1', port };
    });
    const { code, tail } = await run('gateway', 'run', '--config', file, '--json');
    expect(code).toBe(1);
    expect(tail).toContain('DAAS_GATEWAY_STORE_BUSY');
    expect(tail).toContain(world.directory);
  });
});

describe('at last, without a gateway', () => {
  test('a gateway that does not answer before the deadline: nothing is staked, exit 75', async () => {
    await world.gateway.stop();
    await expectRefused(await world.worker('alone', { config: { join: { deadlineMs: 2000 } } }), {
      exitCode: 75,
      code: 'DAAS_JOIN_DEADLINE',
      says: () => ['2000 ms', 'join.deadlineMs', world.gatewayUrl],
    });
  });
});

async function directoryOf(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `k3s-daas-${name}-`));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function fileOf(name: string, content: string, file = 'wallet.key'): Promise<string> {
  const path = join(await directoryOf(name), file);
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

function filesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Processes whose command line or environment names a worker's directory: a host's, an agent's, a pod's. */
function processesThatName(directory: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) =>
      ['cmdline', 'environ'].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(`${directory}/`);
        } catch {
          return false;
        }
      }),
    );
}
