import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { openJournal, replaceFile } from './journal-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'journal-'));
});

test('what was written is there after the file is opened again', async () => {
  const path = join(directory, 'state', 'journal.json');
  const journal = await openJournal(path);
  await journal.write('stake', { digest: 'abc' });
  await journal.section('chain').write('pending', [1, 2]);
  const again = await openJournal(path);
  expect(again.read('stake')).toEqual({ digest: 'abc' });
  expect(again.section('chain').read('pending')).toEqual([1, 2]);
  expect(again.section('chain').keys()).toEqual(['pending']);
});

test('many writes at once leave the last state, and no temporary file', async () => {
  const path = join(directory, 'journal.json');
  const journal = await openJournal(path);
  await Promise.all(Array.from({ length: 50 }, (_, n) => journal.write('n', n)));
  expect((await openJournal(path)).read('n')).toBe(49);
  expect(await readdir(directory)).toEqual(['journal.json']);
});

test('a value that the caller changes afterwards does not change the journal', async () => {
  const journal = await openJournal(join(directory, 'journal.json'));
  const value = { digest: 'a' };
  await journal.write('k', value);
  value.digest = 'b';
  expect(journal.read('k')).toEqual({ digest: 'a' });
});

test('the file is for its owner alone', async () => {
  const path = join(directory, 'journal.json');
  await (await openJournal(path)).write('k', 1);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a damaged journal stops the program instead of being forgotten', async () => {
  const path = join(directory, 'journal.json');
  await writeFile(path, '{"stake": {"dig');
  await expect(openJournal(path)).rejects.toMatchObject({ code: 'DAAS_JOURNAL_DAMAGED', exitCode: 78 });
  expect(await readFile(path, 'utf8')).toBe('{"stake": {"dig');
});

test('replacing a file keeps the mode asked for', async () => {
  const path = join(directory, 'f');
  await replaceFile(path, 'one', 0o640);
  await replaceFile(path, 'two', 0o640);
  expect(await readFile(path, 'utf8')).toBe('two');
  expect((await stat(path)).mode & 0o777).toBe(0o640);
});

test('a file that cannot be replaced leaves no half of the new one behind', async () => {
  const path = join(directory, 'taken');
  await mkdir(path);
  await expect(replaceFile(path, 'secret')).rejects.toMatchObject({
    code: 'DAAS_FILE_UNWRITABLE',
    message: expect.stringContaining(path),
    cause: { code: 'EISDIR' },
  });
  expect(await readdir(directory)).toEqual(['taken']);
});

test('what could not be written is not read either, and the next write does not bring it back', async () => {
  const state = join(directory, 'state');
  const path = join(state, 'journal.json');
  const journal = await openJournal(path);
  await journal.write('kept', 1);
  await rm(state, { recursive: true });
  await expect(journal.write('pending', 'signed')).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  const twice = await Promise.allSettled([journal.write('kept', 2), journal.write('kept', 2)]);
  expect(twice.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(journal.write('kept', 2)).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  await expect(journal.remove('kept')).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  expect([journal.read('pending'), journal.read('kept')]).toEqual([undefined, 1]);
  await mkdir(state);
  await journal.write('other', 3);
  const again = await openJournal(path);
  expect(again.keys().toSorted()).toEqual(['kept', 'other']);
});
