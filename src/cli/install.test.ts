import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pooledUnit } from './install-pool.ts';
import { installVariables } from './install-variables.ts';
import { makePoolKey, writePoolFile } from './pool-file.ts';

test('a misspelled variable of the installer is refused, and the nearest one is named', () => {
  expect(() => installVariables({ INSTALL_K3S_DAAS_SKIP_STRAT: 'true' })).toThrow(
    expect.objectContaining({
      code: 'DAAS_INSTALL_VARIABLE_UNKNOWN',
      exitCode: 78,
      message: expect.stringContaining('did you mean INSTALL_K3S_DAAS_SKIP_START?'),
    }),
  );
});

test('a switch is true or false, and nothing else; variables of k3s’ own installer are not ours', () => {
  const variables = installVariables({
    INSTALL_K3S_DAAS_SKIP_DOWNLOAD: 'true',
    INSTALL_K3S_DAAS_SKIP_START: 'yes',
    INSTALL_K3S_EXEC: 'agent',
    INSTALL_K3S_DAAS_EXEC: '',
  });
  expect(variables.flag('SKIP_DOWNLOAD')).toBe(true);
  expect(variables.flag('SKIP_ENABLE')).toBe(false);
  expect(variables.text('EXEC')).toBeUndefined();
  expect(() => variables.flag('SKIP_START')).toThrow("'yes'");
});

test('a pool file is in the unit’s flags, once, and its node in the unit’s variables, however it was named', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pool-'));
  const file = join(directory, 'machine-7.pool.json');
  const shared = { nodeId: 'machine-7', clusterId: '0xc1', staker: '0x51' };
  await writePoolFile(file, { ...shared, ...makePoolKey() });
  const environment = { K3S_DAAS_NODE_ID: 'machine-7' };
  const label = '--node-label=disk=ssd';
  for (const [named, words] of [
    [file, [label]],
    [undefined, ['--pool-file', file, label]],
    [undefined, [label, `--pool-file=${file}`]],
  ] as const)
    expect(await pooledUnit(named, words)).toEqual({ words: ['--pool-file', file, label], environment });
  expect(await pooledUnit(undefined, [label])).toEqual({ words: [label], environment: {} });
  await expect(pooledUnit(join(directory, 'none'), [])).rejects.toMatchObject({
    code: 'DAAS_POOL_FILE_INVALID',
  });
  await rm(directory, { recursive: true });
});
