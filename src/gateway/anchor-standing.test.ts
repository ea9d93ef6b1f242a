import promises, { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AuditAnchor } from '#domain';
import { anchorStanding } from './anchor-standing.ts';
import { type AuditEntry, chainLines, GENESIS } from './audit-chain.ts';
import { openAuditFiles } from './audit-files.ts';
import { parseAuditLine } from './audit-reading.ts';
import { notedAnchor } from './audit-tail.ts';
import { linesFromEnd } from './lines-from-end.ts';

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
const mac = (hash: string) => `own-${hash}`;
const standing = (anchor: AuditAnchor, key?: typeof mac) => anchorStanding(path, anchor, key);
/** The first line of a file after others were removed, through the line 3. */
const rotated: AuditEntry = {
  at: new Date(0).toISOString(),
  event: 'audit.rotated',
  facts: { removed: 'audit-until-000000000001.jsonl,audit-until-000000000003.jsonl' },
};

/** What happens between the first listing of the files and the reading of them. */
const afterListing = <T>(happens: () => Promise<unknown>, read: () => Promise<T>) =>
  everyListing(happens, read, { isOnce: true });

async function everyListing<T>(
  happens: () => Promise<unknown>,
  read: () => Promise<T>,
  { isOnce = false } = {},
): Promise<T> {
  const { readdir } = promises;
  const restore = () => {
    promises.readdir = readdir;
    syncBuiltinESMExports();
  };
  const late = async (directory: string) => {
    const names = await readdir(directory);
    if (isOnce) restore();
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
    const { surplus } = await files.rotate(5);
    await files.append(chainLines(after.head, [rotated]).text);
    await files.remove(surplus);
  };
  expect(await afterListing(rotateAgain, () => standing(anchorAt(before)))).toEqual({ kind: 'rotated' });
});

test('an anchor is older than the files only where the gateway itself has removed the file that had it', async () => {
  const before = linesOf(GENESIS, 3);
  const written = async (...entries: readonly AuditEntry[]) => {
    const after = chainLines(before.head, [...entries, rotated], mac);
    await writeFile(join(directory, 'audit-until-000000000005.jsonl'), after.text);
    await writeFile(path, linesOf(after.head, 1).text);
  };
  await written();
  // However many files are kept now.
  expect(await standing(anchorAt(before), mac)).toEqual({ kind: 'rotated' });
  expect(await standing(anchorAt(linesOf(GENESIS, 2)), mac)).toEqual({ kind: 'rotated' });
  const missing = { kind: 'missing', isAccepted: false };
  expect(await standing(anchorAt(before), (hash) => `other-${hash}`)).toMatchObject(missing);
  expect(await standing({ ...anchorAt(before), hash: 'ab'.repeat(32) }, mac)).toMatchObject(missing);
  // What a refused gateway writes at each start removes files too.
  const at = new Date(0).toISOString();
  const refusal = { at, event: 'state.rolled_back', facts: { anchored: 3, transaction: 'digest' } };
  await written(refusal);
  expect(await standing(anchorAt(before), mac)).toMatchObject(missing);
  await written(refusal, { at, event: 'audit.anchor-given-up', facts: { transaction: 'digest' } });
  expect(await standing(anchorAt(before), mac)).toEqual({ kind: 'rotated' });
});

test('files that are rotated all the time make no line missing: that is looked at again', async () => {
  await writeFile(path, linesOf(GENESIS, 3).text);
  let count = 0;
  const rotate = () => {
    count += 1;
    return writeFile(join(directory, `audit-until-${count}.jsonl`), '');
  };
  const reading = everyListing(rotate, () => standing(anchorAt(linesOf(GENESIS, 5))));
  await expect(reading).rejects.toMatchObject({ code: 'DAAS_GATEWAY_AUDIT_FAILED', isRetryable: true });
});

test('a line that is far too long is passed over', async () => {
  const before = linesOf(GENESIS, 1);
  const { text } = linesOf(before.head, 1);
  // It would be a line, if all of it were read.
  await writeFile(path, `${before.text}${text.trimEnd()}${' '.repeat(6_000_000)}\n`);
  const lines = [];
  for await (const line of linesFromEnd(path)) lines.push(line);
  expect(lines.map(parseAuditLine)).toMatchObject([undefined, undefined, { seq: 1 }]);
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
