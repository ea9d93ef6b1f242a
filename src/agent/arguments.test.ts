import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { type AgentSources, childEnvironment, composeArguments, readAgentFacts } from './arguments.ts';
import { configFilePath } from './k3s-config.ts';

const nothing: AgentSources = { argv: [], env: {}, files: [] };
const root = { uid: 0, workingDirectory: '/work' };
const facts = (sources: Partial<AgentSources>, machine = root) =>
  readAgentFacts({ ...nothing, ...sources }, 'worker-1', machine);
/** As `readK3sConfig` makes it of a key. */
const word = (key: string, value: string, file = '/f') => ({
  text: `--${key}=${value}`,
  origin: `'${key}' in ${file}`,
  fix: `remove the key from ${file}`,
});
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
    kubeletArguments: [],
    nodeIp: undefined,
    nodeLabels: [],
    nodeTaints: [],
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

test.each([['token'], ['server'], ['token-file'], ['node-name']])(
  'the key %s in a k3s config file is refused with the file it stands in',
  (key) => {
    const file = '/etc/rancher/k3s/config.yaml.d/10-token.yaml';
    const error = failure({ files: [word(key, 'secret-word', file)] });
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
  const files = [word('data-dir', '/file')];
  expect(facts({ env }).dataDir).toBe('/env');
  expect(facts({ env, files }).dataDir).toBe('/file');
  expect(facts({ env, files, argv: ['--data-dir', '/flag'] }).dataDir).toBe('/flag');
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
  [['--token abcdef.0123456789abcdef']],
  [['-tabcdef.0123456789abcdef']],
  [['-t0123456789abcdef']],
  [['-token=abcdef.0123456789abcdef']],
  [['--node-label', 'a=b --token abcdef.0123456789abcdef']],
  [['--kubelet-arg=v=2 --token=abcdef.0123456789abcdef']],
  [[`--kubelet-arg=x=K10${'a'.repeat(64)}::server:0123456789abcdef`]],
  [['--node-label', '--token=abcdef.0123456789abcdef']],
  [['--new-switch', 'abcdef.0123456789abcdef']],
  [['--vmodule=K10::abcdef.0123456789abcdef']],
  [['--with-node-id', 'abcdef.0123456789abcdef']],
  [['--config=https://me:abcdef.0123456789abcdef@x/y?key=0123456789abcdef']],
])('a secret among the arguments is refused without being repeated', (argv) => {
  let error: unknown;
  try {
    configFilePath({ argv, env: {} });
    facts({ argv });
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(Error);
  expect(inspect(error)).not.toContain('0123456789abcdef');
});

test("a plain user's data directory is the one of the home, unless it is named", () => {
  const user = { uid: 1000, workingDirectory: '/work' };
  const env = { HOME: '/home/u' };
  expect(facts({ argv: ['--rootless'], env }, user).dataDir).toBe('/home/u/.rancher/k3s');
  expect(facts({ argv: ['--rootless', '-d', '~/x'], env }, user).dataDir).toBe('/home/u/x');
  expect(facts({ argv: ['--rootless'], env }).dataDir).toBe('/var/lib/rancher/k3s');
});

test('two files may not write one flag in two forms, since k3s ends at that', () => {
  const error = failure({ files: [word('data-dir', '/a')], argv: ['-d', '/b'] });
  expect(error).toMatchObject({ code: 'DAAS_AGENT_ARGUMENT_INVALID' });
  expect(error.message).toContain("'data-dir' in /f");
});

test('a switch does not swallow the word after it', () => {
  expect(facts({ argv: ['--rootless', '--data-dir', '/d'] })).toMatchObject({
    dataDir: '/d',
    isRootless: true,
  });
});

test('the config file is found by environment, then flag, then default; a URL is refused', () => {
  expect(configFilePath({ argv: ['-c', '/a'], env: { K3S_CONFIG_FILE: '/b' } })).toBe('/b');
  expect(configFilePath({ argv: ['-c', '/a'], env: { K3S_CONFIG_FILE: '' } })).toBe('/a');
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
    '--with-node-id=false',
    '--node-label=k3s-daas.io/tier=basic',
    '--node-taint=k3s-daas.io/staked=basic:NoSchedule',
  ]);
});

test.each([['-d', '/mine'], ['--data-dir', '/mine'], ['-d=/mine'], ['--data-dir=/mine']])(
  'the data directory is said once, since k3s refuses it in two forms: %s',
  (...argv) => {
    const composed = composeArguments({ ...composition, argv: ['--debug', ...argv, '--node-label=a=b'] });
    expect(composed.slice(0, 4)).toEqual(['agent', '--debug', '--node-label=a=b', '--node-label=plugin=1']);
    expect(composed).toContain('--data-dir=/d');
  },
);

test.each([['--config=/x'], ['--rootless'], ['--kubelet-arg=healthz-port=1'], ['--kubelet-arg=--config=/x']])(
  'a plugin may not change what was judged before the stake: %s',
  (argument) => {
    expect(() => composeArguments({ ...composition, pluginArguments: [argument] })).toThrow(
      expect.objectContaining({ code: 'DAAS_AGENT_SETTING_CONFLICT' }),
    );
  },
);

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
