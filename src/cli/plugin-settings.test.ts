import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pluginEntries } from './plugin-settings.ts';
import { loadWorkerSettings, settingWarnings } from './settings.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-plugin-settings-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function load(content: object, env: Readonly<Record<string, string>> = {}) {
  const file = join(directory, 'k3s-daas.json');
  await writeFile(file, JSON.stringify(content), { mode: 0o600 });
  return loadWorkerSettings({ file, env: { SUI_RPC_ENDPOINT: 'http://127.0.0.1:9000', ...env } });
}
const staking = (config: object) => ({ plugins: [{ use: 'staking', config }, { use: 'registration' }] });

test('a plugin reads its own config; the keys at the top are other names for it', async () => {
  const own = await load(staking({ stakeMist: '5' }));
  expect(pluginEntries(own)[0]).toEqual({ use: 'staking', config: { stakeMist: '5' } });
  const alias = await load({ stake: { amountMist: 5 }, ...staking({ minimumMist: 4 }) });
  expect(pluginEntries(alias)[0]).toEqual({ use: 'staking', config: { stakeMist: 5n, minimumMist: 4 } });
});

test('a value is shown under its setting with its origin, wherever it was given', async () => {
  const settings = await load(staking({ stakeMist: '5' }));
  expect(settings.rows.find(({ name }) => name === 'stake.amountMist')).toMatchObject({
    value: '5',
    origin: `file ${settings.file} (plugins[0].config.stakeMist)`,
  });
  const entries = pluginEntries(settings);
  expect(entries[0]?.config).toEqual({ stakeMist: '5' });
});

test('one value at both places is accepted', async () => {
  const settings = await load({ stake: { amountMist: 5 }, ...staking({ stakeMist: '5' }) });
  expect(pluginEntries(settings)[0]?.config).toEqual({ stakeMist: '5' });
});

test('two values for one setting are refused, all at once, with both places and origins', async () => {
  const content = {
    stake: { amountMist: 5 },
    plugins: [
      { use: 'staking', config: { stakeMist: 6 } },
      { use: 'registration', config: { gatewayUrl: 'https://a.example.com' } },
    ],
  };
  const error = await load(content, { K3S_DAAS_JOIN_GATEWAY_URL: 'https://b.example.com' }).catch(
    (thrown: unknown) => thrown,
  );
  const file = join(directory, 'k3s-daas.json');
  expect(error).toMatchObject({
    code: 'DAAS_CONFIG_INVALID',
    exitCode: 78,
    details: {
      problems: [
        `stake.amountMist and plugins[0].config.stakeMist are one setting: 5 (file ${file}) and 6 (file ${file}): remove one`,
        `join.gatewayUrl and plugins[1].config.gatewayUrl are one setting: "https://b.example.com" (environment K3S_DAAS_JOIN_GATEWAY_URL) and "https://a.example.com" (file ${file}): remove one`,
      ],
    },
  });
});

test('a setting of a plugin that is replaced is warned about: its value is not used', async () => {
  const settings = await load({
    stake: { amountMist: 5 },
    plugins: [{ use: '@acme/stake' }, { use: 'registration' }],
  });
  expect(await settingWarnings(settings)).toEqual([
    expect.stringContaining(
      `stake.amountMist (file ${settings.file}) is not used: it is 'stakeMist' of the plugin 'staking'`,
    ),
  ]);
  expect(pluginEntries(settings)[0]).toEqual({ use: '@acme/stake', config: {} });
});

test('another stake is asked for by flag, which the config of the plugin may not contradict', async () => {
  const settings = await load({});
  expect(pluginEntries(settings, { stakeAgain: true })[0]).toMatchObject({ config: { stakeAgain: true } });
  expect(pluginEntries(settings)[0]).toMatchObject({ config: {} });
  const contradicting = await load(staking({ stakeAgain: false }));
  expect(() => pluginEntries(contradicting, { stakeAgain: true })).toThrow(
    '--stake-again and plugins[0].config.stakeAgain are one setting',
  );
  const replaced = await load({ plugins: [{ use: './my-stake' }] });
  expect(pluginEntries(replaced, { stakeAgain: true })).toEqual([{ use: './my-stake', config: {} }]);
});
