/** A third-party plugin on disk, which needs the classes of the program that loads it: it refuses a setting `code` with an error of theirs. */
export const PLUGIN_ON_DISK = `import { ConfigurationError, definePlugin } from 'k3s-daas/plugin';
export default definePlugin({
  name: 'mine', api: 1, setup() {},
  config: { '~standard': { version: 1, vendor: 'mine', validate: (value) => {
    if (value.code) throw new ConfigurationError('DAAS_CONFIG_INVALID', 'said by the plugin');
    return { value };
  } } },
});
`;

/** A worker's configuration beside the plugin, `mine.mjs`; `config` is the plugin's. */
export const settingsWithPlugin = (config: object): string =>
  JSON.stringify({
    nodeId: 'worker-1',
    chain: { endpoints: ['https://node.example'] },
    plugins: [
      { use: 'staking' },
      { use: 'registration' },
      { use: 'heartbeat' },
      { use: './mine.mjs', config },
    ],
  });
