import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from './world/program.ts';

/** The package as it is installed: launcher, what `npm run build` makes, and no source. */
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'k3s-daas-built-'));
  for (const part of ['package.json', 'bin'])
    await cp(join(projectRoot, part), join(root, part), { recursive: true });
  await symlink(join(projectRoot, 'node_modules'), join(root, 'node_modules'));
  const { status } = spawnSync(
    process.execPath,
    [join(projectRoot, 'scripts', 'bundle.ts'), join(root, 'dist')],
    {
      stdio: 'inherit',
    },
  );
  expect(status).toBe(0);
});
afterAll(() => rm(root, { recursive: true }));

function run(...args: string[]): SpawnSyncReturns<string> {
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, NO_COLOR: '1' };
  return spawnSync(join(root, 'bin', 'k3s-daas'), args, { encoding: 'utf8', env, cwd: root });
}

test.each(['agent', 'gateway', 'stake', 'slash', 'cluster', 'contracts', 'config', 'plugins', 'devnet'])(
  'the built program has the command %s',
  (command) => {
    const { status, stdout, stderr } = run(command, '--help');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain(`Usage: k3s-daas ${command}`);
  },
);

test('the built program knows its version', () => {
  expect(run('--version').stdout).toMatch(/^\d+\.\d+\.\d+/);
});

test('a plugin gets the classes of the built program, and the built-ins are there', async () => {
  const plugin = `
    import { ConfigurationError, definePlugin } from 'k3s-daas/plugin';
    export default definePlugin({
      name: 'mine',
      api: 1,
      config: { '~standard': { version: 1, vendor: 'mine', validate: (value) => {
        if (value.code) throw new ConfigurationError('DAAS_CONFIG_INVALID', 'said by the plugin');
        return { value };
      } } },
      setup() {},
    });`;
  await writeFile(join(root, 'mine.mjs'), plugin);
  const settings = (config: object) => ({
    nodeId: 'worker-1',
    chain: { endpoints: ['https://node.example'] },
    plugins: [
      { use: 'staking' },
      { use: 'registration' },
      { use: 'heartbeat' },
      { use: './mine.mjs', config },
    ],
  });
  const file = join(root, 'k3s-daas.json');
  await writeFile(file, JSON.stringify(settings({})), { mode: 0o600 });
  expect(run('config', '--check', '--config', file)).toMatchObject({ status: 0, stderr: '' });
  await writeFile(file, JSON.stringify(settings({ code: true })));
  const refused = run('config', '--check', '--config', file);
  expect(refused.status).toBe(78);
  expect(refused.stderr).toContain('said by the plugin');
});
