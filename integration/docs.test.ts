import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Lifetime } from '#base';
import { readWallet } from '#chain';
import { commandProblem } from '../scripts/command-lines.ts';
import { Newcomer, replace, type Table, take, wasRun } from './docs/newcomer.ts';
import { notRunHere } from './docs/not-run.ts';
import { blocksOf, commandsIn, commandsInSentences, pages, readPage, wordsOf } from './docs/pages.ts';
import { freePort } from './world/free-port.ts';
import { KubernetesApi, until } from './world/kubernetes.ts';
import { Program, projectRoot } from './world/program.ts';
import { type K3s, startStandinK3s } from './world/standin-k3s.ts';
import { World } from './world/world.ts';

/**
 * A newcomer reads the pages and does what they say, in an empty directory. Only networks, paths, ports and ids are
 * others, by the tables below; questions are answered by --yes.
 */
const guide = 'docs/getting-started.md';
const life = new Lifetime();
let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-docs-'));
  life.defer('directory', () => rm(directory, { recursive: true, force: true }));
});
afterAll(() => life.close());

/** An answer of yes to everything that asks. */
const yes: Table = [
  [
    /^((?!.*--dry-run)k3s-daas (?:contracts publish|cluster (?:create|gateway add)|stake|slash \w+|gateway (?:setup|evict|unlock|ban|unban|release|breaker --reset))\b[^#\n]*)/gm,
    '$1 --yes ',
  ],
  // A shell without a terminal cannot be asked for its consent.
  [/^(k3s-daas stake (?!.*--dry-run)[^#\n]*--yes)/gm, '$1 --accept-terms any'],
];

function at(url: string): Table {
  return [
    [/--network (?:localnet|testnet)/g, `--endpoint ${url}`],
    ['https://fullnode.testnet.sui.io:443', url],
    ['http://127.0.0.1:9000', url],
  ];
}

async function startDevnet(newcomer: Newcomer): Promise<string> {
  const [args = []] = commandsIn(take(guide, 'k3s-daas devnet').text);
  const devnet = new Program({
    name: 'devnet',
    args: [...args, '--port', '0', '--json'],
    logFile: join(newcomer.directory, 'devnet.log'),
  });
  life.defer('devnet', () => devnet.stop());
  return String((await devnet.event('devnet.ready')).url);
}

/** What the faucet's line of the page does for a wallet. */
async function fund(newcomer: Newcomer, url: string, address: string): Promise<void> {
  const line = readPage(guide)
    .split('\n')
    .find((one) => one.startsWith('curl') && one.includes('/v2/gas'));
  const { exitCode } = await newcomer.shell(replace(line ?? 'false', [...at(url), ['ADDRESS', address]]));
  expect(exitCode).toBe(0);
}

const addressOf = async (file: string) => (await readWallet(file)).address;

test('the program is installed from a clone', async () => {
  const home = join(directory, 'empty-home');
  await mkdir(home, { mode: 0o700 });
  const newcomer = await Newcomer.in(directory, {
    HOME: home,
    PATH: `${home}/.local/bin:${process.env.PATH}`,
  });
  // The packages are there: to install them again would pull the ground from under the tests that run beside this one.
  const table: Table = [['npm ci --ignore-scripts', 'true']];
  const { exitCode, output } = await newcomer.run(take(guide, 'npm ci'), table, projectRoot);
  expect(output).toContain('Usage: k3s-daas');
  expect(exitCode).toBe(0);
});

test('through npm from another directory, relative paths are those of that directory', async () => {
  const newcomer = await Newcomer.in(join(directory, 'through-npm'));
  await writeFile(
    join(newcomer.directory, 'mine.yaml'),
    'nodeId: from-here\nchain: { endpoints: [https://node.example] }\n',
    { mode: 0o600 },
  );
  const { exitCode, output } = await newcomer.shell(
    `npm --prefix ${projectRoot} run --silent k3s-daas -- config --config mine.yaml`,
  );
  expect(output).toMatch(/nodeId +from-here +.*through-npm\/mine\.yaml/);
  expect(exitCode).toBe(0);
});

test('the commands on a dev chain work, from an empty directory to a slash and its proof', async () => {
  const newcomer = await Newcomer.in(join(directory, 'dev-chain'));
  const url = await startDevnet(newcomer);
  const table = [...at(url), ...yes];

  const first = await newcomer.run(take(guide, 'openssl rand'), table);
  const admin = await addressOf(join(newcomer.directory, 'admin.key'));
  expect(first.output).toContain('DAAS_BALANCE_TOO_LOW');
  expect(first.output).toContain(admin);

  const created = await newcomer.run(take(guide, '"ADDRESS"'), [...table, ['ADDRESS', admin]]);
  expect(created.exitCode, created.output).toBe(0);

  const unfunded = await newcomer.run(take(guide, '--node-id worker-1 --dry-run'), table);
  const staker = await addressOf(join(newcomer.directory, 'wallet.key'));
  expect(unfunded.output).toContain(staker);
  await fund(newcomer, url, staker);

  const slashed = await newcomer.run(take(guide, '--reason "to see it"'), table);
  expect(slashed.exitCode, slashed.output).toBe(0);
  expect(slashed.output).toMatch(/result +executed/);

  const [, recordId = ''] = /record +(0x\w+)/.exec(slashed.output) ?? [];
  const proven = await newcomer.run(take('docs/proofs.md', 'proof show 0x…'), [...table, ['0x…', recordId]]);
  expect(proven.exitCode, proven.output).toBe(0);
  expect(proven.output).toContain('The proof holds');
});

describe('a cluster with a worker, as the page has it', () => {
  let k3s: K3s;
  let operator: Newcomer;
  let url = '';
  let gateway: Program | undefined;
  let gatewayPort = 0;
  let healthPort = 0;
  const etc = (machine: 'server' | 'worker-etc') => join(directory, 'cluster', machine);
  const socket = () => join(directory, 'cluster', 'k3s-daas-gateway', 'operator.sock');

  const onServer = (): Table => [
    ...at(url),
    ['/etc/k3s-daas', etc('server')],
    ['https://k3s.example.com:6443', k3s.server],
    ['https://k3s.example.com:8443', `https://127.0.0.1:${gatewayPort}`],
    ['port: 8443', `port: ${gatewayPort}`],
    ['/var/lib/rancher/k3s/server/tls/server-ca.crt', k3s.serverCaFile],
    ['127.0.0.1:8444', `127.0.0.1:${healthPort}`],
    [/^(k3s-daas gateway setup)/gm, `$1 --admin-kubeconfig ${k3s.kubeconfig}`],
    [/^(k3s-daas gateway (?!setup|run)[^#\n]*)/gm, `$1 --socket ${socket()} `],
    ...yes,
  ];

  const runGateway = () => {
    const program = new Program({
      name: 'gateway',
      args: [...startOf('Description=K3s-DaaS gateway'), '--json'],
      logFile: join(operator.directory, 'gateway.log'),
      env: operator.env,
    });
    life.defer('the gateway', () => program.stop());
    return program;
  };

  beforeAll(async () => {
    const home = join(directory, 'cluster');
    await mkdir(home, { mode: 0o700 });
    [k3s, gatewayPort, healthPort] = await Promise.all([startStandinK3s(home, life), freePort(), freePort()]);
    operator = await Newcomer.in(home, {
      K3S_DAAS_CONFIG: join(etc('server'), 'k3s-daas.yaml'),
      K3S_DAAS_GATEWAY_STATE_DIR: join(home, 'k3s-daas-gateway'),
      K3S_DAAS_GATEWAY_KUBECONFIG: join(home, 'gateway.kubeconfig'),
      K3S_DAAS_GATEWAY_HEALTH_PORT: String(healthPort),
    });
    const devnet = new Program({
      name: 'devnet',
      args: ['devnet', '--port', '0', '--json'],
      logFile: join(home, 'devnet.log'),
    });
    life.defer('devnet', () => devnet.stop());
    url = String((await devnet.event('devnet.ready')).url);
    const keys = ['admin', 'slasher', 'other-slasher', 'wallet'].map((name) => `${name}.key`);
    await operator.shell(`umask 077; for key in ${keys.join(' ')}; do openssl rand -hex 32 > $key; done`);
    for (const key of keys) await fund(operator, url, await addressOf(join(home, key)));
  });

  test('contracts and cluster object are made', async () => {
    const published = await operator.run(take(guide, 'publish --network testnet'), onServer());
    expect(published.exitCode, published.output).toBe(0);
    const [slasher, other] = await Promise.all(
      ['slasher.key', 'other-slasher.key'].map((file) => addressOf(join(operator.directory, file))),
    );
    const created = await operator.run(take(guide, '--slasher SLASHER_1'), [
      ...onServer(),
      // Nobody waits an hour in a test: the vote that executes waits for the end of the challenge time.
      ['--challenge 1h', '--challenge 2s'],
      ['SLASHER_1', slasher ?? ''],
      ['SLASHER_2', other ?? ''],
      ['TREASURY', await addressOf(join(operator.directory, 'admin.key'))],
    ]);
    expect(created.exitCode, created.output).toBe(0);
  });

  test('the gateway is set up, registered and run by its unit', async () => {
    const installed = await operator.run(take(guide, /^install -D -m 0644 \S+ \S+$/), onServer());
    expect(installed.exitCode, installed.output).toBe(0);
    const configFile = join(etc('server'), 'k3s-daas.yaml');
    await operator.write(take(guide, /^chain:[\s\S]*gateway:/), configFile, onServer());
    const setUp = await operator.run(take(guide, 'gateway setup --dry-run'), onServer());
    expect(setUp.exitCode, setUp.output).toBe(0);

    // The command that setup prints is the page's, with its values.
    const registration = take(guide, 'cluster gateway add');
    const printed = setUp.output.split('\n').find((line) => line.includes('cluster gateway add')) ?? '';
    const value = (flag: string) =>
      new RegExp(`${flag} (\\S+)`).exec(printed)?.[1] ?? `${flag} is not printed`;
    for (const flag of printed.match(/ --[\w-]+/g) ?? []) expect(registration.text).toContain(flag);
    expect(value('--url')).toBe(`https://127.0.0.1:${gatewayPort}`);
    const added = await operator.run(registration, [
      ...onServer(),
      ['TLS_PIN', value('--tls-pin')],
      ['SIGNING_KEY', value('--signing-key')],
    ]);
    expect(added.exitCode, added.output).toBe(0);
    const [, gatewayId = ''] = /^gateway +(0x\w+)/m.exec(added.output) ?? [];
    const [, member = ''] = take(guide, 'GATEWAY_ID').text.split('\n');
    await writeFile(
      configFile,
      `${await readFile(configFile, 'utf8')}\n${member.replace('GATEWAY_ID', gatewayId)}\n`,
      { mode: 0o600 },
    );

    gateway = runGateway();
    await gateway.event('gateway.ready');
    const checked = await operator.run(take(guide, '127.0.0.1:8444/readyz'), onServer());
    expect(checked.exitCode, checked.output).toBe(0);
  });

  test('a worker joins, is slashed by two votes, and ends with 77', async () => {
    const home = join(directory, 'cluster', 'worker');
    await mkdir(home, { mode: 0o700 });
    const machine = await k3s.machine('worker-1', home);
    const workerHealthPort = await freePort();
    const env = {
      ...machine.env,
      K3S_DAAS_CONFIG: join(etc('worker-etc'), 'k3s-daas.yaml'),
      K3S_DAAS_STATE_DIR: join(home, 'state'),
      K3S_DAAS_HEALTH_PORT: String(workerHealthPort),
      K3S_DAAS_AGENT_BINARY: machine.binary,
      K3S_DAAS_AGENT_ARGS: JSON.stringify(machine.args),
      K3S_DAAS_AGENT_CONTAINERD_ADDRESS: machine.containerdAddress,
      K3S_DAAS_AGENT_RUNTIME_DIR: join(home, 'run'),
    };
    const worker = await Newcomer.in(home, env);
    const shown = await operator.shell(replace('k3s-daas cluster show --network testnet --json', onServer()));
    const [, fingerprint = ''] = /"termsFingerprint": ?"(\w+)"/.exec(shown.output) ?? [];
    const table: Table = [
      ...at(url),
      ['/etc/k3s-daas', etc('worker-etc')],
      ['127.0.0.1:8445', `127.0.0.1:${workerHealthPort}`],
      ['FINGERPRINT', fingerprint],
    ];
    const installed = await worker.run(take(guide, 'wallet.key /etc/k3s-daas'), table, operator.directory);
    expect(installed.exitCode, installed.output).toBe(0);
    await worker.write(take(guide, /^nodeId: worker-1/), env.K3S_DAAS_CONFIG, table);

    const settings = await worker.run(take('docs/configuration.md', 'k3s-daas config --check'), table);
    expect(settings.exitCode, settings.output).toBe(0);

    const start = take(guide, /^k3s-daas agent$/m);
    const rehearsed = await worker.shell(start.text.split('\n')[0] ?? 'false');
    expect(rehearsed.exitCode, rehearsed.output).toBe(0);
    expect(commandsIn(start.text)[1]).toEqual(startOf('Description=K3s-DaaS worker'));
    const host = new Program({
      name: 'worker-1',
      args: ['agent', '--node-label', 'disk=ssd', '--json'],
      logFile: join(home, 'host.log'),
      env: worker.env,
    });
    life.defer('the worker', () => host.stop());
    const kubernetes = await KubernetesApi.fromKubeconfig(k3s.kubeconfig);
    life.defer('the Kubernetes client', () => kubernetes[Symbol.dispose]());
    await until('the Node to be there', async () => {
      const { status } = await kubernetes.get('/api/v1/nodes/worker-1');
      return status === 200 ? true : undefined;
    });
    const healthy = await worker.run(take(guide, '127.0.0.1:8445/readyz'), table);
    expect(healthy.exitCode, healthy.output).toBe(0);

    for (const words of ["gateway nodes 'rack-1-*'", 'gateway breaker --reset']) {
      const looked = await operator.run(take('docs/operations.md', words), onServer());
      expect(looked.exitCode, looked.output).toBe(0);
    }

    const [propose = '', vote = ''] = take(guide, 'slash vote PROPOSAL').text.split('\n');
    const proposed = await operator.shell(
      replace(propose, [...onServer(), ['NAME', 'worker-1'], ['REASON', 'it misbehaves']]),
    );
    expect(proposed.exitCode, proposed.output).toBe(0);
    const [, proposal = ''] = /slash vote (0x\w+)/.exec(proposed.output) ?? [];
    const voted = await operator.shell(replace(vote, [...onServer(), ['PROPOSAL', proposal]]));
    expect(voted.output).toMatch(/result +executed/);
    expect((await host.exited).code).toBe(77);
  });

  test('a backup of the gateway is made and restored, and keeps a ban', async () => {
    const { directory: home } = operator;
    const table: Table = [
      [/^( *)systemctl .*$/gm, '$1true'],
      ['/var/lib', home],
      ['/root/', `${home}/`],
      [/gateway-2\d+-\d\d-\d\d/g, 'gateway-*'],
    ];
    const banned = await operator.shell(
      `k3s-daas gateway ban worker-9 --reason "a test" --yes --socket ${socket()}`,
    );
    expect(banned.exitCode, banned.output).toBe(0);
    await gateway?.stop();
    const saved = await operator.run(take('docs/operations.md', 'tar -C /var/lib -c'), table);
    expect(saved.exitCode, saved.output).toBe(0);

    const stateDir = join(home, 'k3s-daas-gateway');
    await rm(stateDir, { recursive: true });
    const restored = await operator.run(take('docs/operations.md', 'tar -C /var/lib -x'), table);
    expect(restored.exitCode, restored.output).toBe(0);
    const found = await operator.run(take('docs/operations.md', 'operator.command'), [], stateDir);
    expect(found.output).toContain('worker-9');

    gateway = runGateway();
    await gateway.event('gateway.ready');
    const { output } = await operator.shell(`k3s-daas gateway bans --socket ${socket()}`);
    expect(output).toContain('worker-9');
  });
});

/** What the unit runs, without the path of the program. */
function startOf(unit: string): string[] {
  const [, command = ''] = /^ExecStart=(.+)$/m.exec(take(guide, unit).text) ?? [];
  expect(command).toMatch(/^\/usr\/local\/bin\/k3s-daas /);
  return wordsOf(command).slice(1);
}

test('the commands for the demo’s world talk to that world', async () => {
  await using world = await World.start();
  const worker = await world.worker('worker-2');
  const host = worker.start();
  await world.nodeReady('worker-2');
  const newcomer = await Newcomer.in(join(directory, 'demo'));
  const hasKubectl = spawnSync('sh', ['-c', 'command -v kubectl']).status === 0;
  const { exitCode, output } = await newcomer.run(take(guide, 'DIRECTORY/worker-2/k3s-daas.json'), [
    ['DIRECTORY', world.directory],
    ['CHAIN_URL', world.chain.url],
    ...(hasKubectl ? [] : ([[/^kubectl.*$/gm, 'true']] as const)),
    ['KUBECONFIG', world.k3s.kubeconfig],
    ...yes,
  ]);
  expect(exitCode, output).toBe(0);
  expect((await host.exited).code).toBe(77);
});

describe('what is not run', () => {
  const blocks = pages.flatMap(blocksOf);

  test.each(pages)('every command line of %s is one that the program takes', (page) => {
    const lines = [
      ...blocksOf(page).flatMap(({ language, text }) => (language === '' ? commandsIn(text) : [])),
      ...commandsInSentences(readPage(page)),
    ];
    expect(lines.map((words) => commandProblem(words)).filter((problem) => problem !== undefined)).toEqual(
      [],
    );
  });

  test('every file that a page shows can be read', () => {
    for (const { page, line, language, text } of blocks) {
      if (language === 'json') expect(() => JSON.parse(text), `${page}:${line}`).not.toThrow();
      if (language === 'yaml') expect(() => parse(text), `${page}:${line}`).not.toThrow();
    }
  });

  const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;
  test.skipIf(!analyze)('systemd accepts the units (needs systemd-analyze)', async () => {
    const units = blocks.filter(({ language, text }) => language === 'ini' && text.includes('[Unit]'));
    expect(units).toHaveLength(4);
    const files = units.map((_, index) => join(directory, `k3s-daas-${index}.service`));
    for (const [index, { text }] of units.entries())
      await writeFile(files[index] ?? '', text.replaceAll('/usr/local/bin/k3s-daas', '/bin/true'));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...files], { encoding: 'utf8' });
    const said = stderr.split('\n').filter((line) => line.includes('k3s-daas-'));
    expect({ status, said }).toEqual({ status: 0, said: [] });
  });

  test('every block of commands was run, or its page names the reason', () => {
    const left = blocks.filter((block) => block.language === '' && !wasRun(block));
    const named = left.map(({ page, text, notRun }) => [page, text.split('\n', 1)[0], notRun ?? 'NO REASON']);
    expect(named).toEqual(notRunHere);
  });
});
