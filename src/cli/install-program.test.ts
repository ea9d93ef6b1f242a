import { access } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ownProgram } from './install-program.ts';

test('other programs run this one by its launcher, and a single executable by itself', async () => {
  const launcher = await ownProgram(false);
  expect(launcher).toMatch(/\/bin\/k3s-daas$/);
  await access(launcher);
  expect(await ownProgram(true)).toBe(process.execPath);
});
