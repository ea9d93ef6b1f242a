import promises, { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AuditAnchor } from '#domain';
import { anchorStanding } from './anchor-standing.ts';
import { chainLines, GENESIS } from './audit-chain.ts';
import { openAuditFiles } from './audit-files.ts';
import { notedAnchor } from './audit-tail.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'anchor-standing-'));
  path = join(directory, 'audit.jsonl');
});
afterEach(() => rm(directory, { recursive: true }));

const linesOf = (head: typeof GENESIS, count: number) =>
  chainLines(
    head,
    Array.from({ length: count }, (_, index) => ({
      at: new Date(index).toISOString(),
      event: 'thing.done',
      facts: {},
    })),
  );
const anchorAt = ({ head }: ReturnType<typeof linesOf>): AuditAnchor => ({
  ...head,
  atMs: 1_000,
  digest: 'digest',
});
const standing = (anchor: AuditAnchor, maxFiles = 15) =>
  anchorStanding(path, anchor, { maxFiles, mac: undefined });

/** What happens between the first listing of the files and the reading of them. */
async function afterListing<T>(happens: () => Promise<unknown>, read: () => Promise<T>): Promise<T> {
  const { readdir } = promises;
  const restore = () => {
    promises.readdir = readdir;
    syncBuiltinESMExports();
  };
  const late = async (directory: string) => {
    const names = await readdir(directory);
    restore();
    await happens();
    return names;
  };
  promises.readdir = late as typeof readdir;
  syncBuiltinESMExports();
  try {
    return await read();
  } finally {
    restore();
  }
}

test('a rotation while the files are read makes no line missing', async () => {
  const before = linesOf(GENESIS, 3);
  const after = linesOf(before.head, 2);
  await using files = await openAuditFiles(path, { maxFileBytes: 1, maxFiles: 1 });
  await files.append(before.text);
  const rotate = async () => {
    await files.rotate(3);
    await files.append(after.text);
  };
  expect(await afterListing(rotate, () => standing(anchorAt(before)))).toEqual({ kind: 'held' });
  // Between the two renames of a rotation there is no such file.
  expect(await notedAnchor(join(directory, 'audit-between.jsonl'))).toBeUndefined();
  // And a file that is removed meanwhile is no error.
  const rotateAgain = async () => {
    await files.rotate(5);
    await files.append(linesOf(after.head, 1).text);
  };
  expect(await afterListing(rotateAgain, () => standing(anchorAt(before), 1))).toEqual({ kind: 'rotated' });
});

test('an anchor is older than the files only where as many are kept as there may be, and the first continues it', async () => {
  const before = linesOf(GENESIS, 3);
  const after = linesOf(before.head, 2);
  await writeFile(join(directory, 'audit-until-000000000005.jsonl'), after.text);
  await writeFile(path, linesOf(after.head, 1).text);
  expect(await standing(anchorAt(before), 1)).toEqual({ kind: 'rotated' });
  expect(await standing(anchorAt(before), 2)).toMatchObject({ kind: 'missing', isAccepted: false });
  const other = { ...anchorAt(before), hash: 'ab'.repeat(32) };
  expect(await standing(other, 1)).toMatchObject({ kind: 'missing' });
});

test('a line that was changed since ends what is believed', async () => {
  const lines = linesOf(GENESIS, 5);
  await writeFile(path, lines.text);
  const anchor = anchorAt(linesOf(GENESIS, 3));
  expect(await standing(anchor)).toEqual({ kind: 'held' });
  const [first, second, third, fourth, fifth] = (await readFile(path, 'utf8')).split('\n');
  const changed = fourth?.replace('thing.done', 'thing.left');
  await writeFile(path, [first, second, third, changed, fifth, ''].join('\n'));
  expect(await standing(anchor)).toMatchObject({
    kind: 'missing',
    detail: expect.stringContaining('line 4 is not the one that was written there'),
  });
  await writeFile(path, [first, second, third, fifth, ''].join('\n'));
  expect(await standing(anchor)).toMatchObject({ kind: 'missing' });
});
