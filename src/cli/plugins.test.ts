import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createIo } from './io.ts';
import { pluginsCommand } from './plugins.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-plugins-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function integrity(use: string): Promise<string> {
  let printed = '';
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      printed += chunk;
      done();
    },
  });
  const io = createIo({ json: true, stdout });
  const config = ['--config', join(directory, 'none.json')];
  await pluginsCommand(io)
    .exitOverride()
    .parseAsync(['integrity', use, ...config], { from: 'user' });
  return printed;
}

test('the integrity of a package is printed without a configuration of this machine', async () => {
  await writeFile(join(directory, 'package.json'), '{"name":"p","version":"1.0.0"}');
  expect(JSON.parse(await integrity(directory))).toMatchObject({
    integrity: expect.stringMatching(/^sha512-/),
  });
});

test.each(['staking', '.'])('%s is not a package', async (use) => {
  await expect(integrity(use === '.' ? directory : use)).rejects.toMatchObject({
    code: 'DAAS_PLUGIN_INTEGRITY',
    exitCode: 78,
  });
});
