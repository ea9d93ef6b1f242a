import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readKernelFile } from './kernel-file.ts';

test.each([0, 1, 2_047, 2_048, 2_049, 4_096, 70_000])('a file of %i bytes is read whole', async (length) => {
  const file = join(await mkdtemp(join(tmpdir(), 'kernel-file-')), 'file');
  const text = Array.from({ length }, (_, index) => String.fromCharCode(97 + (index % 26))).join('');
  await writeFile(file, text);
  expect(await readKernelFile(file)).toBe(text);
});

test('a character that does not fit into the first piece is not torn', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'kernel-file-')), 'file');
  const text = `${'a'.repeat(2_047)}é`;
  await writeFile(file, text);
  expect(await readKernelFile(file)).toBe(text);
});

test('a file of /proc, which has no size, is read as by readFile', async () => {
  expect(await readKernelFile('/proc/self/cmdline')).toBe(await readFile('/proc/self/cmdline', 'utf8'));
  await expect(readKernelFile('/proc/self/nothing')).rejects.toMatchObject({ code: 'ENOENT' });
});

test('reading one takes no buffer of 64 KiB', async () => {
  const before = process.memoryUsage().arrayBuffers;
  await Promise.all(Array.from({ length: 64 }, () => readKernelFile('/proc/self/stat')));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 16_384);
});
