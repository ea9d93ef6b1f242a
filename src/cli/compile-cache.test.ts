import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isOwnDirectory } from './compile-cache.ts';

async function place(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'compile-cache-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return join(directory, 'cache');
}

test('compiled code is kept in a directory that is this user’s alone', async () => {
  const path = await place();
  expect(isOwnDirectory(path)).toBe(true);
  expect((await stat(path)).mode & 0o777).toBe(0o700);
  expect(isOwnDirectory(path)).toBe(true);
});

test('a cache that others could have written into, or led elsewhere, is not used: its code would run', async () => {
  const path = await place();
  await mkdir(path);
  for (const mode of [0o777, 0o770, 0o707]) {
    await chmod(path, mode);
    expect(isOwnDirectory(path)).toBe(false);
  }
  await symlink(path, `${path}-link`);
  expect(isOwnDirectory(`${path}-link`)).toBe(false);
});

test('where the cache cannot be made there is none', async () => {
  const path = await place();
  await writeFile(path, '');
  expect(isOwnDirectory(path)).toBe(false);
  expect(isOwnDirectory(join(path, 'below'))).toBe(false);
});
