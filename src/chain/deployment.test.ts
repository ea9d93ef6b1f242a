import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseDeployment, readDeployment, readPublication, writeDeployment } from './deployment.ts';

const deployment = {
  chainId: '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S',
  packageId: `0x${'1'.repeat(64)}`,
  clusterId: `0x${'2'.repeat(64)}`,
};
let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'deployment-'));
});
afterAll(() => rm(directory, { recursive: true }));

test('what is written is read again, with and without a cluster', async () => {
  const file = join(directory, 'deployment.json');
  await writeDeployment(file, deployment);
  expect(await readDeployment(file)).toEqual(deployment);
  const { clusterId: _later, ...published } = deployment;
  await writeDeployment(file, published);
  expect(await readPublication(file)).toEqual(published);
  await expect(readDeployment(file)).rejects.toMatchObject({ code: 'DAAS_DEPLOYMENT_INVALID', exitCode: 78 });
});

test('short ids are written out', () => {
  expect(parseDeployment({ ...deployment, packageId: '0xa' }, 'here').packageId).toBe(
    `0x${'a'.padStart(64, '0')}`,
  );
});

test.each([
  ['an unknown member', { ...deployment, cluster: '0x1' }],
  ['a short chain id', { ...deployment, chainId: '35834a8a' }],
  ['a package id that is none', { ...deployment, packageId: 'k3s' }],
  ['nothing', null],
])('%s is refused by the name of where it came from', (_what, value) => {
  expect(() => parseDeployment(value, 'the file x')).toThrow('the file x is not a deployment');
});

test('a missing file and one that is no JSON are told apart', async () => {
  const file = join(directory, 'text.json');
  await writeFile(file, 'chainId: x');
  await expect(readDeployment(file)).rejects.toMatchObject({ code: 'DAAS_DEPLOYMENT_INVALID' });
  await expect(readDeployment(join(directory, 'none'))).rejects.toMatchObject({
    code: 'DAAS_DEPLOYMENT_UNREADABLE',
  });
});
