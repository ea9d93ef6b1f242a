import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { machineId } from './machine-id.ts';

async function filesWith(...texts: readonly string[]): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'machine-id-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const files = texts.map((_, index) => join(directory, `${index}`));
  await Promise.all(texts.map((text, index) => writeFile(files[index] as string, text)));
  return files;
}

test('a machine has one name, in which its machine-id does not stand', async () => {
  const [one, two] = [await filesWith('abc\n', 'hardware\n'), await filesWith('abc', 'hardware')];
  expect(await machineId(one)).toBe(await machineId(two));
  expect(await machineId(one)).not.toContain('abc');
});

test('a copied disk in other hardware is another machine', async () => {
  const [one, two] = [await filesWith('abc', 'hardware 1'), await filesWith('abc', 'hardware 2')];
  expect(await machineId(one)).not.toBe(await machineId(two));
});

test('a machine without a machine-id has no name', async () => {
  expect(await machineId(['/nowhere', '/nowhere'])).toBeUndefined();
});
