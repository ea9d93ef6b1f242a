import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DaasError } from '#base';
import { GatewayConfig } from '#gateway-config';
import { describeSettings } from '#infrastructure';
import { deploymentOf, walletOf } from './chain-settings.ts';
import { pluginEntries } from './plugin-settings.ts';
import {
  loadGatewaySettings,
  loadWorkerSettings,
  nodeIdOf,
  runtimeArguments,
  type SettingSources,
  seedAliases,
  settingsSchema,
  settingWarnings,
} from './settings.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-cli-'));
});
afterAll(() => rm(directory, { recursive: true }));

const id = (digit: string) => `0x${digit.repeat(64)}`;
const chainId = '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD';
const devChainId = '9QFYpEsRmyyQTDKVBYbPxHwqQk7rPbVgYTqgHjGPjGhY';
const endpoint = { SUI_RPC_ENDPOINT: 'http://127.0.0.1:9000' };
/** A private key of nobody's: 32 bytes of 7, hex. */
const key = '07'.repeat(32);

const load = (sources: SettingSources = {}) =>
  loadWorkerSettings({ env: endpoint, directories: [], ...sources });
async function write(name: string, content: unknown, mode = 0o600): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  await chmod(path, mode);
  return path;
}

test('config.example.json is read, names every key, and gives each that has a default its default', async () => {
  const example = await loadGatewaySettings({ file: 'config.example.json', env: {} });
  const given = new Set(example.rows.filter((row) => row.origin.startsWith('file ')).map((row) => row.name));
  // The key itself stands in for its file, as do the headers, the three ids for the deployment file, and other
  // sources of the keys of the state.
  const instead = [
    'chain.chainId',
    'chain.packageId',
    'chain.clusterId',
    'chain.headers',
    'wallet.key',
    'gateway.state.keys.command',
    'gateway.state.keys.credential',
    'gateway.state.keys.snp.program',
    'gateway.state.keys.snp.idsFile',
    'gateway.state.keys.snp.rootKey',
    'gateway.state.keys.snp.mix',
    'gateway.state.keys.snp.guestSvn',
    'gateway.state.keys.snp.tcbVersion',
    'gateway.state.keys.snp.vmpl',
    'gateway.state.keys.kms.program',
    'gateway.state.keys.kms.file',
    'gateway.state.keys.kms.region',
    'gateway.state.keys.kms.keyId',
    'gateway.state.keys.kms.proxyPort',
    'gateway.state.keys.kms.credentialsFile',
    'gateway.state.keys.earlier',
  ];
  expect(example.rows.map((row) => row.name).filter((name) => !given.has(name))).toEqual(instead);
  const { gateway } = example.value;
  const required = {
    chain: { endpoints: example.value.chain.endpoints },
    gateway: { tls: gateway.tls, server: gateway.server, gatewayId: gateway.gatewayId },
  };
  const bare = settingsSchema(GatewayConfig).parse(required);
  for (const row of example.rows) {
    const byDefault = row.path.reduce<unknown>(
      (value, name) => (value as Record<string, unknown>)?.[name],
      bare,
    );
    if (byDefault !== undefined) expect([row.name, row.value]).toEqual([row.name, byDefault]);
  }
});

test('docs/configuration.md tells of every key, every variable and every name of the seed', async () => {
  const text = await readFile('docs/configuration.md', 'utf8');
  for (const row of describeSettings(settingsSchema(GatewayConfig), 'K3S_DAAS_'))
    expect(text, `${row.name} is not documented`).toContain(`\`${row.name}\``);
  for (const { from } of seedAliases) expect(text, `${from} is not documented`).toContain(`\`${from}\``);
  expect(text).toContain('`STAKER_CONFIG_PATH`');
});

test('no two settings share a variable', () => {
  const variables = describeSettings(settingsSchema(GatewayConfig), 'K3S_DAAS_').map(
    (row) => row.environment,
  );
  expect(new Set(variables).size).toBe(variables.length);
});

const seed = {
  node_id: 'production-worker-001',
  sui_wallet_address: id('a'),
  sui_private_key: key,
  sui_rpc_endpoint: 'https://fullnode.testnet.sui.io:443',
  stake_amount: 1_000_000_000,
  contract_address: id('b'),
  nautilus_endpoint: 'https://nautilus-tee.example.com:8080',
  container_runtime: 'containerd',
  min_stake_amount: 1_000_000_000,
};

test('a configuration in the words of the seed is read', async () => {
  const file = await write('seed.json', seed);
  const settings = await load({ env: { STAKER_CONFIG_PATH: file, TEE_MODE: 'simulation' } });
  expect(settings.value).toMatchObject({
    nodeId: 'production-worker-001',
    wallet: { address: id('a') },
    chain: { endpoints: ['https://fullnode.testnet.sui.io:443'], packageId: id('b') },
    stake: { amountMist: 1_000_000_000n, minimumMist: 1_000_000_000n },
    join: { gatewayUrl: 'https://nautilus-tee.example.com:8080' },
    containerRuntime: 'containerd',
    teeMode: 'dev',
  });
  expect(settings.value.wallet.key?.reveal()).toBe(key);
  expect(settings.rows.find((row) => row.name === 'stake.amountMist')?.origin).toBe(
    `file ${file} (stake_amount)`,
  );
  expect(pluginEntries(settings)).toEqual([
    { use: 'staking', config: { stakeMist: 1_000_000_000n, minimumMist: 1_000_000_000n } },
    { use: 'registration', config: { gatewayUrl: 'https://nautilus-tee.example.com:8080' } },
    { use: 'heartbeat', config: {} },
    { use: 'slashing', config: {} },
  ]);
});

test('the wallet address must fit the key', async () => {
  const settings = await load({ file: await write('seed.json', seed) });
  await expect(walletOf(settings)).rejects.toMatchObject({
    code: 'DAAS_WALLET_ADDRESS_MISMATCH',
    exitCode: 78,
  });
});

test('a wallet key that others can read, or that is given twice or not at all, is refused', async () => {
  await expect(walletOf(await load())).rejects.toMatchObject({ code: 'DAAS_WALLET_MISSING' });
  const exposed = await write('exposed.key', key, 0o644);
  const environment = { ...endpoint, K3S_DAAS_WALLET_KEY_FILE: exposed };
  await expect(walletOf(await load({ env: environment }))).rejects.toMatchObject({
    code: 'DAAS_WALLET_KEY_EXPOSED',
  });
  const twice = { ...environment, K3S_DAAS_WALLET_KEY: key };
  await expect(walletOf(await load({ env: twice }))).rejects.toMatchObject({ code: 'DAAS_WALLET_AMBIGUOUS' });
  await chmod(exposed, 0o600);
  expect((await walletOf(await load({ env: environment }))).address).toMatch(/^0x[0-9a-f]{64}$/);
});

test('a key that stands in a file others can read is warned about', async () => {
  const open = await load({ file: await write('open.json', { wallet: { key } }, 0o644) });
  expect(await settingWarnings(open)).toEqual([expect.stringContaining('chmod 600')]);
});

test('paths are relative to the file they stand in', async () => {
  await write('deployment.json', { chainId, packageId: id('1'), clusterId: id('2') });
  const configFile = await write('relative.json', { chain: { deployment: 'deployment.json' } });
  expect(await deploymentOf(await load({ file: configFile }))).toEqual({
    chainId,
    packageId: id('1'),
    clusterId: id('2'),
  });
});

test('a deployment given in part is completed, one that contradicts its file or is not whole is refused', async () => {
  await write('deployment.json', { chainId, packageId: id('1'), clusterId: id('2') });
  const both = await write('both.json', {
    chain: { deployment: 'deployment.json' },
    contract_address: id('1'),
  });
  expect((await deploymentOf(await load({ file: both }))).packageId).toBe(id('1'));
  const other = await write('other.json', { chain: { deployment: 'deployment.json', packageId: id('9') } });
  await expect(deploymentOf(await load({ file: other }))).rejects.toMatchObject({
    code: 'DAAS_DEPLOYMENT_MISMATCH',
    exitCode: 78,
  });
  const half = await write('half.json', { chain: { chainId } });
  await expect(deploymentOf(await load({ file: half }))).rejects.toMatchObject({
    code: 'DAAS_DEPLOYMENT_INVALID',
  });
});

test('mock mode is the preset of the dev chain here, and is refused with any other', async () => {
  await write('dev.json', { chainId: devChainId, packageId: id('1'), clusterId: id('2') });
  const mock = { MOCK_MODE: 'true', CONTRACT_ADDRESS: `0x${'0'.repeat(40)}` };
  const configFile = await write('mock.json', { chain: { deployment: 'dev.json' } });
  const settings = await load({ file: configFile, env: mock });
  expect(settings.value.chain.endpoints).toEqual(['http://127.0.0.1:9000']);
  expect((await deploymentOf(settings)).packageId).toBe(id('1'));
  const remote = { ...mock, SUI_RPC_ENDPOINT: 'https://fullnode.mainnet.sui.io:443' };
  await expect(deploymentOf(await load({ file: configFile, env: remote }))).rejects.toMatchObject({
    code: 'DAAS_MOCK_MODE_REFUSED',
    exitCode: 78,
  });
});

test.each([
  [{ TEE_MODE: 'certified' }, 'teeMode is "certified" (environment TEE_MODE)'],
  [{ K3S_DAAS_NODE_ID: 'Worker_1' }, 'nodeId is "Worker_1" (environment K3S_DAAS_NODE_ID)'],
  [{ K3S_DAAS_STAKE_AMOUNT_MIST: '1.5' }, 'expected a whole number of MIST'],
  [{ K3S_DAAS_NODEID: 'w' }, 'did you mean K3S_DAAS_NODE_ID?'],
  [{ SUI_RPC_ENDPOINT: 'ftp://x' }, 'chain.endpoints[0] is "ftp://x" (environment SUI_RPC_ENDPOINT)'],
])('%j is refused by name', async (environment, sentence) => {
  const error = (await load({ env: { ...endpoint, ...environment } }).catch((thrown) => thrown)) as DaasError;
  expect(error).toMatchObject({ code: 'DAAS_CONFIG_INVALID', exitCode: 78 });
  expect(error.message).toContain(sentence);
});

test.each([
  ['production', 'production'],
  ['simulation', 'dev'],
  ['Development', 'dev'],
  ['mock', 'none'],
  ['disabled', 'none'],
])('TEE_MODE=%s means teeMode %s', async (mode, teeMode) => {
  const { value } = await load({ env: { ...endpoint, TEE_MODE: mode } });
  expect(value.teeMode).toBe(teeMode);
});

test('an amount that JSON has already rounded is refused', async () => {
  const configFile = await write('big.json', '{"stake":{"amountMist":9007199254740993}}');
  await expect(load({ file: configFile })).rejects.toThrow(/string|safe/i);
});

test('a container runtime becomes flags of k3s', async () => {
  const flags = async (runtime: string) =>
    runtimeArguments(await load({ env: { ...endpoint, K3S_DAAS_CONTAINER_RUNTIME: runtime } }));
  expect(await flags('containerd')).toEqual([]);
  expect(await flags('docker')).toEqual(['--docker']);
  expect(await flags('/run/crio/crio.sock')).toEqual([
    '--container-runtime-endpoint=unix:///run/crio/crio.sock',
  ]);
});

test('containers that a slash leaves running are warned about', async () => {
  const warned = async (change: Record<string, string>) =>
    settingWarnings(await load({ env: { ...endpoint, ...change } }));
  expect(await warned({ K3S_DAAS_CONTAINER_RUNTIME: 'docker' })).toEqual([
    expect.stringContaining('they run on until you stop them'),
  ]);
  expect(await warned({ K3S_DAAS_CONTAINER_RUNTIME: 'containerd' })).toEqual([]);
  const flag = await load({ file: await write('docker.json', { agent: { args: ['--docker'] } }) });
  expect(await settingWarnings(flag)).toHaveLength(1);
});

test('the node id is the host name unless another is given', async () => {
  const named = await load({ flags: [{ name: 'nodeId', value: 'w-7', flag: '--node-id' }] });
  expect(nodeIdOf(named)).toBe('w-7');
  const row = (await load()).rows.find((other) => other.name === 'nodeId');
  if (row?.value === hostname()) expect(row.origin).toBe('default (host name)');
});

const links = {
  K3S_DAAS_SERVICE_HOST: '10.43.0.7',
  K3S_DAAS_SERVICE_PORT: '443',
  K3S_DAAS_SERVICE_PORT_HTTPS: '443',
  K3S_DAAS_PORT: 'tcp://10.43.0.7:443',
  K3S_DAAS_PORT_443_TCP: 'tcp://10.43.0.7:443',
  K3S_DAAS_PORT_443_TCP_PROTO: 'tcp',
  K3S_DAAS_PORT_443_TCP_PORT: '443',
  K3S_DAAS_PORT_443_TCP_ADDR: '10.43.0.7',
  K3S_DAAS_GATEWAY_SERVICE_HOST: '10.43.0.8',
  K3S_DAAS_GATEWAY_SERVICE_PORT: '8443',
  K3S_DAAS_GATEWAY_PORT: 'tcp://10.43.0.8:8443',
  K3S_DAAS_GATEWAY_PORT_8443_TCP_ADDR: '10.43.0.8',
  // A Service `k3s-daas-health`: the name is that of a setting, the value cannot be one.
  K3S_DAAS_HEALTH_PORT: 'tcp://10.43.0.9:80',
};

test('the service links of Kubernetes are no settings, and said so once', async () => {
  const settings = await load({ env: { ...endpoint, ...links } });
  expect(settings.value.health.port).toBe(8445);
  const [warning, ...others] = await settingWarnings(settings);
  expect(others).toEqual([]);
  for (const name of Object.keys(links)) expect(warning).toContain(name);
  expect(warning).toContain('enableServiceLinks');
  const gateway = {
    ...endpoint,
    ...links,
    K3S_DAAS_GATEWAY_SERVER: 'https://k3s:6443',
    K3S_DAAS_GATEWAY_TLS_CERT_FILE: 'a',
    K3S_DAAS_GATEWAY_TLS_KEY_FILE: 'b',
  };
  expect((await loadGatewaySettings({ env: gateway, directories: [] })).foreignVariables).toEqual(
    Object.keys(links),
  );
});

test.each(['K3S_DAAS_HEALTH_PORTS', 'K3S_DAAS_PORT', 'K3S_DAAS_SERVICE', 'K3S_DAAS_NODEID'])(
  '%s is a mistake, not a service link',
  async (name) => {
    await expect(load({ env: { ...endpoint, [name]: '8445' } })).rejects.toThrow(
      `${name} (environment) is not a setting`,
    );
  },
);

test.each([
  ['gateway.server', 'K3S_DAAS_GATEWAY_SERVER', 'https://admin:hunter2@k3s.example.com:6443'],
  ['join.gatewayUrl', 'K3S_DAAS_JOIN_GATEWAY_URL', 'https://admin:hunter2@gateway.example.com'],
  ['chain.endpoints', 'K3S_DAAS_CHAIN_ENDPOINTS', 'https://admin:hunter2@sui.example.com'],
])('a password in the URL of %s is refused without telling it', async (setting, variable, url) => {
  const env = {
    ...(setting === 'chain.endpoints' ? {} : endpoint),
    K3S_DAAS_GATEWAY_TLS_CERT_FILE: 'a',
    K3S_DAAS_GATEWAY_TLS_KEY_FILE: 'b',
    [variable]: url,
  };
  const loading = loadGatewaySettings({ env, directories: [] });
  await expect(loading).rejects.toThrow('expected no user or password in the URL');
  await expect(loading).rejects.toThrow('[secret]@');
  await expect(loading).rejects.not.toThrow('hunter2');
});

test.each([
  'https://gateway.example.com/',
  'https://gateway.example.com/api',
  'https://gateway.example.com?x=1',
  'http://gateway.example.com',
])('join.gatewayUrl is scheme, host and port alone: %s is refused', async (url) => {
  await expect(load({ env: { ...endpoint, K3S_DAAS_JOIN_GATEWAY_URL: url } })).rejects.toMatchObject({
    code: 'DAAS_CONFIG_INVALID',
    message: expect.stringContaining(
      `join.gatewayUrl is "${url}" (environment K3S_DAAS_JOIN_GATEWAY_URL): expected `,
    ),
  });
});

test('k3s’ own file given as ours is told from a mistake', async () => {
  const file = await write('config.yaml', 'server: https://k3s:6443\ntoken: planted\nnode-label:\n  - a=b\n');
  const error = (await load({ file }).catch((thrown: unknown) => thrown)) as DaasError;
  expect(error).toMatchObject({ code: 'DAAS_CONFIG_INVALID', exitCode: 78 });
  expect(error.message).toContain("looks like k3s' own configuration");
  expect(error.message).toContain('--k3s-config');
  expect(error.message).not.toContain('planted');
});
