import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readBounded } from './bounded-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bounded-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('a file of the longest length is read, one that is a byte longer is not', async () => {
  const path = join(directory, 'file');
  const content = Buffer.alloc(100_000, 7);
  await writeFile(path, content);
  expect((await readBounded(path, 100_000)).equals(content)).toBe(true);
  await expect(readBounded(path, 99_999)).rejects.toThrow('longer than 99999 bytes');
});

test('neither a named pipe without a writer nor a device is read', async () => {
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, '/dev/zero', directory])
    await expect(readBounded(path, 10)).rejects.toThrow('no regular file');
  await expect(readBounded(join(directory, 'missing'), 10)).rejects.toMatchObject({ code: 'ENOENT' });
});
