import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import {
  type AgentSources,
  childEnvironment,
  composeArguments,
  configFilePath,
  readAgentFacts,
} from './arguments.ts';

const nothing: AgentSources = { argv: [], env: {}, files: [] };
const facts = (sources: Partial<AgentSources>) => readAgentFacts({ ...nothing, ...sources }, 'worker-1');
const failure = (sources: Partial<AgentSources>): Error & { code?: string; exitCode?: number } => {
  try {
    facts(sources);
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was refused');
};

test('without settings the facts are the defaults of k3s', () => {
  expect(facts({})).toEqual({
    dataDir: '/var/lib/rancher/k3s',
    isRootless: false,
    healthzUrl: 'http://127.0.0.1:10248/healthz',
    containerdAddress: undefined,
    logsToFile: false,
  });
});

test.each([
  ['--token=secret-word'],
  ['-t', 'secret-word'],
  ['-token', 'secret-word'],
  ['--token-file', '/x'],
  ['--server=https://a:6443'],
  ['-s', 'https://a:6443'],
  ['--node-name', 'other'],
  ['--with-node-id'],
  ['--cluster-secret=x'],
  ['--node-label', 'a=b', '--server', 'https://a'],
])('a flag that is ours is refused: %s', (...argv) => {
  const error = failure({ argv });
  expect(error).toMatchObject({ code: 'DAAS_AGENT_SETTING_CONFLICT', exitCode: 78 });
  expect(error.message).toMatch(/^--[a-z-]+ \(agent\.args or the command line\) .* leave --/);
  expect(error.message).not.toContain('secret-word');
});

test.each([['K3S_TOKEN'], ['K3S_TOKEN_FILE'], ['K3S_URL'], ['K3S_NODE_NAME'], ['K3S_CLUSTER_SECRET']])(
  'the environment variable %s is refused by name, without its value',
  (variable) => {
    const error = failure({ env: { [variable]: 'secret-word' } });
    expect(error).toMatchObject({ code: 'DAAS_AGENT_SETTING_CONFLICT', exitCode: 78 });
    expect(error.message).toContain(variable);
    expect(error.message).not.toContain('secret-word');
  },
);

test.each([['token'], ['server'], ['token-file'], ['node-name'], ['token+']])(
  'the key %s in a k3s config file is refused with the file it stands in',
  (key) => {
    const file = '/etc/rancher/k3s/config.yaml.d/10-token.yaml';
    const error = failure({ files: [{ file, key, values: ['secret-word'] }] });
    expect(error).toMatchObject({ code: 'DAAS_AGENT_SETTING_CONFLICT' });
    expect(error.message).toContain(file);
    expect(error.message).not.toContain('secret-word');
  },
);

test('a node name that is the node id, and a switch that is off, conflict with nothing', () => {
  expect(() =>
    facts({
      argv: ['--node-name=Worker-1', '--with-node-id=false'],
      env: { K3S_NODE_NAME: 'worker-1', K3S_URL: '' },
    }),
  ).not.toThrow();
});

test('flags win over files, files over the environment', () => {
  const env = { K3S_DATA_DIR: '/env' };
  const files = [{ file: 'f', key: 'data-dir', values: ['/file'] }];
  expect(facts({ env }).dataDir).toBe('/env');
  expect(facts({ env, files }).dataDir).toBe('/file');
  expect(facts({ env, files, argv: ['-d', '/flag'] }).dataDir).toBe('/flag');
});

test('a later file replaces a list unless its key ends in +', () => {
  const first = { file: 'a', key: 'kubelet-arg', values: ['healthz-port=1111'] };
  const replaced = [first, { file: 'b', key: 'kubelet-arg', values: ['v=2'] }];
  const added = [first, { file: 'b', key: 'kubelet-arg+', values: ['v=2'] }];
  expect(facts({ files: replaced }).healthzUrl).toBe('http://127.0.0.1:10248/healthz');
  expect(facts({ files: added }).healthzUrl).toBe('http://127.0.0.1:1111/healthz');
});

test('the kubelet is asked where its arguments say', () => {
  const argv = [
    '--kubelet-arg=healthz-port=1',
    '--kubelet-arg',
    'healthz-port=20248',
    '--kubelet-arg=healthz-bind-address=::1',
  ];
  expect(facts({ argv }).healthzUrl).toBe('http://[::1]:20248/healthz');
});

test('a health port that is switched off is refused', () => {
  expect(failure({ argv: ['--kubelet-arg=healthz-port=0'] })).toMatchObject({
    code: 'DAAS_AGENT_HEALTHZ_OFF',
  });
});

test('containerd of another place, rootless and a log file are seen', () => {
  const argv = ['--container-runtime-endpoint', 'unix:///run/c.sock', '--rootless', '--log=/var/log/k3s.log'];
  expect(facts({ argv })).toMatchObject({
    containerdAddress: '/run/c.sock',
    isRootless: true,
    logsToFile: true,
  });
});

test('words that are no flags are refused with a hint', () => {
  expect(failure({ argv: ['agent', '--debug'] })).toMatchObject({
    code: 'DAAS_AGENT_ARGUMENT_INVALID',
    message: expect.stringContaining("'agent'"),
  });
});

test.each([
  [['--debug', `K10${'a'.repeat(64)}::abcdef.0123456789abcdef`]],
  [['--with-node-id', 'abcdef.0123456789abcdef']],
  [['--config=https://me:abcdef.0123456789abcdef@x/y?key=0123456789abcdef']],
])('a secret among the arguments is refused without being repeated: %#', (argv) => {
  let error: unknown;
  try {
    configFilePath({ argv, env: {} });
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(Error);
  expect(inspect(error)).not.toContain('0123456789abcdef');
});

test('a switch does not swallow the word after it', () => {
  expect(facts({ argv: ['--rootless', '--data-dir', '/d'] })).toMatchObject({
    dataDir: '/d',
    isRootless: true,
  });
});

test('the config file is found by flag, then environment, then default; a URL is refused', () => {
  expect(configFilePath({ argv: ['-c', '/a'], env: { K3S_CONFIG_FILE: '/b' } })).toBe('/a');
  expect(configFilePath({ argv: [], env: { K3S_CONFIG_FILE: '/b' } })).toBe('/b');
  expect(configFilePath({ argv: [], env: {} })).toBe('/etc/rancher/k3s/config.yaml');
  expect(() => configFilePath({ argv: ['--config=https://x/y'], env: {} })).toThrow(
    expect.objectContaining({ code: 'DAAS_K3S_CONFIG_REMOTE' }),
  );
});

const composition = {
  argv: ['--debug', '--node-label', 'mine=1'],
  dataDir: '/d',
  server: 'https://s:6443',
  tokenFile: '/run/t',
  nodeId: 'worker-1',
  nodeLabels: { 'k3s-daas.io/tier': 'basic' },
  taints: ['k3s-daas.io/staked=basic:NoSchedule'],
  pluginArguments: ['--node-label=plugin=1'],
};

test("argv is the user's flags, then the plugins', then ours", () => {
  expect(composeArguments(composition)).toEqual([
    'agent',
    '--debug',
    '--node-label',
    'mine=1',
    '--node-label=plugin=1',
    '--data-dir=/d',
    '--server=https://s:6443',
    '--token-file=/run/t',
    '--node-name=worker-1',
    '--node-label=k3s-daas.io/tier=basic',
    '--node-taint=k3s-daas.io/staked=basic:NoSchedule',
  ]);
});

test('a plugin may not set what is ours either', () => {
  expect(() => composeArguments({ ...composition, pluginArguments: ['--server=https://evil'] })).toThrow(
    expect.objectContaining({ code: 'DAAS_AGENT_SETTING_CONFLICT' }),
  );
});

test('the child gets the environment without our settings, keys and tokens', () => {
  const env = {
    PATH: '/bin',
    HTTPS_PROXY: 'http://p',
    NOTIFY_SOCKET: '/run/systemd/notify',
    K3S_DEBUG: 'true',
    K3S_DAAS_WALLET_KEY: 'x',
    SUI_PRIVATE_KEY: 'x',
    K3S_TOKEN: 'x',
    K3S_TOKEN_FILE: 'x',
    K3S_AGENT_TOKEN: 'x',
    K3S_URL: 'x',
    K3S_NODE_NAME: 'worker-1',
    EMPTY: undefined,
  };
  expect(childEnvironment(env)).toEqual({
    PATH: '/bin',
    HTTPS_PROXY: 'http://p',
    NOTIFY_SOCKET: '/run/systemd/notify',
    K3S_DEBUG: 'true',
  });
});
