import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Lifetime } from '#base';
import { holdJournal } from './stake.ts';

test('a journal of signed transactions is for one process at a time', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'stake-'));
  const file = join(directory, 'state', 'stake.json');
  const first = new Lifetime();
  await (await holdJournal(file, first)).write('pending', 'signed');
  await using second = new Lifetime();
  await expect(holdJournal(file, second)).rejects.toMatchObject({ code: 'DAAS_LOCK_HELD' });
  await first.close();
  expect((await holdJournal(file, second)).read('pending')).toBe('signed');
  await second.close();
  expect(await readdir(join(directory, 'state'))).toEqual(['stake.json']);
  await rm(directory, { recursive: true });
});
