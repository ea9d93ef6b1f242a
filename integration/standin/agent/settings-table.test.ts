import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { layOut, settingsTable } from '../settings-table.ts';
import { dataDirectory, HelpAsked, readValues } from './flags.ts';

const rows = await settingsTable();

test.each(rows.filter(({ takes }) => takes))('the stand-in takes what k3s takes: $name', async (row) => {
  await using laid = await layOut(row);
  const { values, ignoredWords } = await readValues(laid.argv, laid.env);
  const { config: _, ...flags } = values;
  const { 'data-dir': dataDir = '/var/lib/rancher/k3s', rootless } = flags;
  const back = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value).replaceAll(laid.directory, '{dir}'));
  expect(back(flags)).toEqual(row.takes?.flags);
  expect(ignoredWords).toEqual(row.takes?.ignoredWords ?? []);
  const directory = dataDirectory(dataDir as string, rootless === true, laid.env);
  expect(back(resolve(laid.directory, directory))).toBe(row.takes?.dataDir);
});

test.each(rows.filter(({ refuses }) => refuses !== undefined))(
  'the stand-in refuses what k3s refuses, in its words: $name',
  async (row) => {
    await using laid = await layOut(row);
    const reading = readValues(laid.argv, laid.env);
    const words = row.refuses?.replace('Error: ', '') ?? '';
    // Each YAML library and each runtime has words of its own.
    const isOfFile = /^(?:yaml|read|open)\b/.test(words) || words === 'bad flag syntax: --=';
    await expect(reading).rejects.toMatchObject(isOfFile ? {} : { message: words });
  },
);

test.each(rows.filter(({ helps }) => helps))('the stand-in shows its flags and ends: $name', async (row) => {
  await using laid = await layOut(row);
  await expect(readValues(laid.argv, laid.env)).rejects.toBeInstanceOf(HelpAsked);
});
