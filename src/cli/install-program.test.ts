import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { packageRoot } from '#chain';
import { linkedProgram, ownProgram } from './install-program.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'k3s-daas-program-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a unit runs the program by the first link on the path that leads to it', async () => {
  const [other, debian] = [join(directory, 'local'), join(directory, 'usr')];
  mkdirSync(other);
  mkdirSync(debian);
  // Another program of this name.
  writeFileSync(join(other, 'k3s-daas'), '#!/bin/sh\n', { mode: 0o755 });
  symlinkSync(join(await packageRoot(), 'bin', 'k3s-daas'), join(debian, 'k3s-daas'));
  expect(await linkedProgram([other, debian])).toBe(join(debian, 'k3s-daas'));
});

test('without a link there is none', async () => {
  expect(await linkedProgram([join(directory, 'nowhere')])).toBeUndefined();
});

test('other programs run this one by its launcher, and a single executable by itself', async () => {
  const launcher = await ownProgram(false);
  expect(launcher).toMatch(/\/bin\/k3s-daas$/);
  await access(launcher);
  expect(await ownProgram(true)).toBe(process.execPath);
});
