import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type Case,
  chainOf,
  clingingPlugin,
  describeCases,
  directoryOf,
  endOf,
  expectRefused,
  fileOf,
  world,
} from './refusals.ts';
import { freePort } from './world/free-port.ts';

/** Wrong settings, flags, machines and command lines: the exact message and exit code, and nothing left behind. */
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
    await expectRefused(await world.worker('alone', { config: { join: { deadlineMs: 8_000 } } }), {
      exitCode: 75,
      code: 'DAAS_JOIN_DEADLINE',
      says: () => ['8000 ms', 'join.deadlineMs', world.gatewayUrl],
    });
  });
});
