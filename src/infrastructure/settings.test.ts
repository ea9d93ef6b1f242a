import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { type DaasError, Secret } from '#base';
import { loadSettings, type SettingsOptions } from './settings.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-settings-'));
});
beforeEach(async () => {
  for (const name of ['k3s-daas.json', 'k3s-daas.yaml', 'k3s-daas.yml'])
    await rm(join(directory, name), { force: true });
});
afterAll(() => rm(directory, { recursive: true }));

const schema = z.strictObject({
  name: z.string().default('worker').meta({ description: 'what it is called' }),
  isOn: z.boolean().default(false),
  chain: z
    .strictObject({
      timeoutMs: z.int().min(100).default(1_000).meta({ description: 'for one call' }),
      endpoints: z.array(z.url()).min(1),
    })
    .prefault({} as never),
  key: z
    .string()
    .regex(/^k-/)
    .transform((key) => new Secret(key))
    .optional()
    .meta({ secret: true }),
  plugins: z.array(z.strictObject({ use: z.string() })).default([]),
});
type Value = z.infer<typeof schema>;

const load = (changes: Partial<SettingsOptions<Value>> = {}) =>
  loadSettings<Value>({
    schema,
    environmentPrefix: 'APP_',
    environment: {},
    aliases: [
      { kind: 'key', from: 'rpc_endpoint', to: 'chain.endpoints', convert: (url) => [url] },
      { kind: 'environment', from: 'RPC_ENDPOINT', to: 'chain.endpoints' },
    ],
    directories: [directory],
    ...changes,
  });
const write = (name: string, content: unknown) =>
  writeFile(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));
async function problemsOf(changes: Partial<SettingsOptions<Value>> = {}): Promise<readonly string[]> {
  const error = (await load(changes).catch((thrown: unknown) => thrown)) as DaasError;
  expect(error).toMatchObject({ code: 'DAAS_CONFIG_INVALID', exitCode: 78 });
  return error.details.problems as string[];
}
const good = { chain: { endpoints: ['https://one.example.com'] } };

test('flags come before the environment, it before the file, it before the default; every value says where it is from', async () => {
  await write(
    'k3s-daas.yaml',
    'name: from-file\nisOn: true\nchain:\n  endpoints: [https://file.example.com]\n',
  );
  const environment = {
    APP_NAME: 'from-environment',
    RPC_ENDPOINT: 'https://a.example.com, https://b.example.com',
  };
  const flags = [{ name: 'name', value: 'from-flag', flag: '--name' }];
  const settings = await load({ environment, flags });
  expect(settings.value).toMatchObject({
    name: 'from-flag',
    isOn: true,
    chain: { timeoutMs: 1_000, endpoints: ['https://a.example.com', 'https://b.example.com'] },
  });
  const file = join(directory, 'k3s-daas.yaml');
  expect(settings).toMatchObject({ file, directory });
  expect(settings.rows.map(({ name, origin }) => [name, origin])).toEqual([
    ['name', 'flag --name'],
    ['isOn', `file ${file}`],
    ['chain.timeoutMs', 'default'],
    ['chain.endpoints', 'environment RPC_ENDPOINT'],
    ['key', 'default'],
    ['plugins', 'default'],
  ]);
});

test('variables are read as what the setting is', async () => {
  const environment = {
    APP_IS_ON: 'yes',
    APP_CHAIN_TIMEOUT_MS: '250',
    APP_CHAIN_ENDPOINTS: '["https://one.example.com"]',
    APP_PLUGINS: '[{"use":"staking"}]',
    APP_KEY: 'k-secret',
    APP_NAME: '',
  };
  const { value, rows } = await load({ environment });
  expect(value).toMatchObject({
    isOn: true,
    name: 'worker',
    chain: { timeoutMs: 250 },
    plugins: [{ use: 'staking' }],
  });
  expect(value.key?.reveal()).toBe('k-secret');
  expect(JSON.stringify(rows)).not.toContain('k-secret');
});

test('all problems of all sources are told at once, with value, origin and what would be right', async () => {
  await write('k3s-daas.json', {
    nam: 'x',
    chain: { timeoutMs: 'soon', endpoint: 'https://a.example.com' },
    isOn: 1,
  });
  const environment = { APP_CHAIN_TIMEOUTMS: '5', APP_KEY: 'hunter2' };
  const file = join(directory, 'k3s-daas.json');
  const problems = await problemsOf({ environment });
  expect(problems).toEqual([
    'APP_CHAIN_TIMEOUTMS (environment) is not a setting: did you mean APP_CHAIN_TIMEOUT_MS?',
    `nam (file ${file}) is not a setting: did you mean name?`,
    `chain.endpoint (file ${file}) is not a setting: did you mean endpoints?`,
    expect.stringContaining(`isOn is 1 (file ${file}): `),
    `chain.timeoutMs is "soon" (file ${file}): Invalid input: expected number, received string. It is: for one call`,
    'chain.endpoints is missing: set it in the file or as APP_CHAIN_ENDPOINTS',
    expect.stringContaining('key is [secret] (environment APP_KEY)'),
  ]);
  expect(problems.join()).not.toContain('hunter2');
});

test('an unknown key deep in a list is told with its place', async () => {
  await write('k3s-daas.json', { ...good, plugins: [{ use: 'a' }, { use: 'b', confg: {} }] });
  expect(await problemsOf()).toEqual([
    expect.stringMatching(/^plugins\[1\]\.confg \(file .*\) is not a setting/),
  ]);
});

test('two names of one setting that contradict each other are refused, on one level only', async () => {
  await write('k3s-daas.json', { ...good, rpc_endpoint: 'https://two.example.com' });
  const [problem] = await problemsOf();
  expect(problem).toMatch(
    /^chain\.endpoints is given twice: .*one.example.com.* and .*two.example.com.* as rpc_endpoint/,
  );
  await write('k3s-daas.json', { ...good, rpc_endpoint: 'https://one.example.com' });
  expect((await load()).value.chain.endpoints).toEqual(['https://one.example.com']);
});

test('a section that is no object is refused', async () => {
  await write('k3s-daas.json', { chain: 5 });
  expect((await problemsOf())[0]).toMatch(/^chain \(file .*\) must be an object of settings, it is 5/);
});

test('an id without quotes stays the text it is in YAML', async () => {
  const id = `0x${'a1'.repeat(32)}`;
  await write('k3s-daas.yaml', `name: ${id}\nchain:\n  endpoints: [https://one.example.com]\n`);
  expect((await load()).value.name).toBe(id);
});

test('a named file is read and no other; json is found before yaml', async () => {
  await write('k3s-daas.json', { ...good, name: 'json' });
  await write('k3s-daas.yaml', { ...good, name: 'yaml' });
  expect((await load()).value.name).toBe('json');
  const file = { path: join(directory, 'k3s-daas.yaml'), origin: '--config' };
  expect((await load({ file })).value.name).toBe('yaml');
});

test.each([
  ['a file that is not there', 'none.json', undefined, 'none.json'],
  ['broken JSON', 'broken.json', '{"a":', 'cannot be read as JSON or YAML'],
  ['broken YAML', 'broken.yaml', 'a: [', 'cannot be read as JSON or YAML'],
  ['a list', 'list.json', '[]', 'is not an object of settings'],
  ['code', 'code.mjs', 'export default {}', 'neither .json nor .yaml'],
])('%s is refused', async (_case, name, content, sentence) => {
  if (content !== undefined) await write(name, content);
  await expect(load({ file: { path: join(directory, name), origin: '--config' } })).rejects.toMatchObject({
    code: 'DAAS_CONFIG_UNREADABLE',
    exitCode: 78,
    message: expect.stringContaining(sentence),
  });
});

test.each([
  ['k3s-daas.yaml', 'key: k-planted\nplugins: [1, 2\nname: x\n'],
  ['k3s-daas.yaml', 'key: "k-planted\n'],
  ['k3s-daas.json', '{"key": k-planted}'],
  ['k3s-daas.json', '{"key": "k-planted"\n "name": 1}'],
])('a mistake in %s is told without the lines around it: %j', async (name, content) => {
  await write(name, content);
  await expect(load()).rejects.toMatchObject({
    code: 'DAAS_CONFIG_UNREADABLE',
    message: expect.not.stringContaining('planted'),
  });
});

test('a section that was given the secret itself is refused without telling it', async () => {
  const wallet = z.strictObject({ key: z.string().meta({ secret: true }) });
  await write('k3s-daas.json', { wallet: 'k-planted' });
  const loading = loadSettings({
    schema: z.strictObject({ wallet }),
    environmentPrefix: 'APP_',
    environment: {},
    directories: [directory],
  });
  await expect(loading).rejects.toThrow(/must be an object of settings, it is \[secret\]/);
});

test('an empty file is a configuration that says nothing', async () => {
  await write('k3s-daas.yaml', '');
  expect((await load({ environment: { RPC_ENDPOINT: 'https://one.example.com' } })).value.name).toBe(
    'worker',
  );
});

test('reserved variables are nobody’s problem', async () => {
  await write('k3s-daas.json', good);
  await load({ environment: { APP_CONFIG: 'x', APP_TEST_Y: 'y' }, reserved: ['APP_CONFIG', 'APP_TEST_*'] });
});
