import { appendFile, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openAudit } from './audit.ts';
import { lineHash } from './audit-chain.ts';
import { openDiskReserve } from './disk-reserve.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'records-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Every append ends in the midst of its first line. */
async function fullDisk(path: string): Promise<{ empty(): void }> {
  const file = await open(path, 'w');
  const prototype = Object.getPrototypeOf(file) as { appendFile: (data: string) => Promise<void> };
  await file.close();
  const { appendFile: append } = prototype;
  prototype.appendFile = async function (this: unknown, data: string) {
    await append.call(this as typeof prototype, data.slice(0, 20));
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  return {
    empty: () => {
      prototype.appendFile = append;
    },
  };
}

describe('the audit file', () => {
  const lines = async (path: string) =>
    (await readFile(path, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test('is an unbroken chain also when the disk was full in between', async () => {
    const path = join(directory, 'audit.jsonl');
    await using audit = await openAudit(path, () => 0);
    const disk = await fullDisk(join(directory, 'other'));
    await expect(audit.note('thing.done', { n: 1 })).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_AUDIT_FAILED',
    });
    expect(audit.failure()).toContain('ENOSPC');
    disk.empty();
    await audit.note('thing.done', { n: 2 });
    expect(audit.failure()).toBeUndefined();
    const [first, second, ...more] = await lines(path);
    expect(second).toMatchObject({ seq: 2, n: 2, prev: first?.hash });
    expect(more).toEqual([]);
  });

  test('takes no fact that has the name of what every line has', async () => {
    await using audit = await openAudit(join(directory, 'audit.jsonl'), () => 0);
    // @ts-expect-error: a line has one hash, that of its content.
    audit.record('thing.done', { hash: 'ab' });
    // @ts-expect-error: and one number.
    audit.record('thing.done', { seq: 1 });
  });

  test('is settled without those that others go on writing', async () => {
    await using audit = await openAudit(join(directory, 'audit.jsonl'), () => 0);
    let isSettled = false;
    let written = 0;
    const write = async () => {
      for (; !isSettled && written < 50_000; written += 1) await audit.note('thing.done', { written });
    };
    const writers = Promise.all([write(), write()]);
    await audit.note('thing.waited-for', {});
    const { sequence } = await audit.settled();
    isSettled = true;
    expect(sequence).toBeGreaterThan(1);
    // They were not waited for: they would go on for long.
    expect(written).toBeLessThan(50_000);
    await writers;
  });

  test('is a chain: each line carries the hash of the one before, over restarts', async () => {
    const path = join(directory, 'audit.jsonl');
    for (const round of [1, 2]) {
      await using audit = await openAudit(path, () => 0);
      await Promise.all([1, 2, 3].map((n) => audit.note('thing.done', { round, n })));
    }
    const all = await lines(path);
    expect(all.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    let previous = '0'.repeat(64);
    for (const { hash, ...body } of all) {
      expect(body.prev).toBe(previous);
      expect(lineHash(body)).toBe(hash);
      previous = String(hash);
    }
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('goes on after a line that a crash cut short, and says so', async () => {
    const path = join(directory, 'audit.jsonl');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const [, last] = await lines(path);
    await appendFile(path, '{"seq":3,"at":"19');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const text = await readFile(path, 'utf8');
    const [third, fourth] = text.trimEnd().split('\n').slice(-2);
    expect(JSON.parse(third ?? '')).toMatchObject({
      seq: 3,
      event: 'audit.opened',
      cut_short: true,
      prev: last?.hash,
    });
    expect(JSON.parse(fourth ?? '')).toMatchObject({ seq: 4, event: 'thing.done' });
  });

  test('begins a new chain on a file it cannot read, and says so by its number', async () => {
    const path = join(directory, 'audit.jsonl');
    await writeFile(path, 'garbage\n');
    await using audit = await openAudit(path, () => 0);
    await audit.note('thing.done', {});
    const text = await readFile(path, 'utf8');
    expect(JSON.parse(text.split('\n')[1] ?? '')).toMatchObject({ seq: 1, prev: '0'.repeat(64) });
  });

  test.each([
    ['a part of its first line', '{"seq":3,"at":"1970'],
    ['zeros', '\0'.repeat(200_000)],
  ])('goes on from the file before it when a crash has left %s', async (_, rest) => {
    const path = join(directory, 'audit.jsonl');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const [, last] = await lines(path);
    await rename(path, join(directory, 'audit-until-000000000002.jsonl'));
    await writeFile(path, rest, { mode: 0o600 });
    {
      await using audit = await openAudit(path, () => 0);
      await audit.flush();
    }
    const [, next] = (await readFile(path, 'utf8')).split('\n');
    expect(JSON.parse(next ?? '')).toMatchObject({ seq: 3, prev: last?.hash, cut_short: true });
  });

  test('goes on behind zeros that a loss of power has left at the end', async () => {
    const path = join(directory, 'audit.jsonl');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const [, last] = await lines(path);
    await appendFile(path, '\0'.repeat(200_000));
    {
      await using audit = await openAudit(path, () => 0);
      await audit.flush();
    }
    const next = (await readFile(path, 'utf8')).split('\n')[3];
    expect(JSON.parse(next ?? '')).toMatchObject({ seq: 3, prev: last?.hash });
  });

  test('writes a line that comes in the very moment in which the last one was written', async () => {
    const path = join(directory, 'audit.jsonl');
    await using audit = await openAudit(path, () => 0);
    for (let n = 0; n < 20; n += 1) await audit.note('thing.done', { n });
    expect(await lines(path)).toHaveLength(21);
  });

  test('goes on in a new file when one is full, keeps so many, and is one chain over all of them', async () => {
    const path = join(directory, 'audit.jsonl');
    const options = { maxFileBytes: 1_000, maxFiles: 3 };
    for (const round of [1, 2]) {
      await using audit = await openAudit(path, () => 0, options);
      for (let n = 0; n < 20; n += 1) await audit.note('thing.done', { round, n });
    }
    const earlier = (await readdir(directory)).filter((name) => name.startsWith('audit-until-')).sort();
    expect(earlier).toHaveLength(3);
    const kept = [];
    for (const name of [...earlier, 'audit.jsonl']) kept.push(...(await lines(join(directory, name))));
    expect(kept[0]).toMatchObject({
      event: 'audit.rotated',
      earlier: expect.stringMatching(/^audit-until-/),
    });
    expect(kept.some(({ removed }) => String(removed).startsWith('audit-until-'))).toBe(true);
    let { prev: previous, seq: sequence } = kept[0] ?? {};
    for (const { hash, ...body } of kept) {
      expect(body).toMatchObject({ prev: previous, seq: sequence });
      expect(lineHash(body)).toBe(hash);
      previous = hash;
      sequence = Number(sequence) + 1;
    }
    for (const name of [...earlier, 'audit.jsonl'])
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
  });

  test.each([false, true])(
    'waits at a rotation for the disk only where it is anchored (%s)',
    async (isAnchored) => {
      const path = join(directory, 'audit.jsonl');
      const handle = await open(join(directory, 'other'), 'w');
      const datasync = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'datasync');
      await handle.close();
      {
        await using audit = await openAudit(path, () => 0, { maxFileBytes: 300, maxFiles: 1, isAnchored });
        for (let n = 0; n < 9; n += 1) await audit.note('thing.done', { n });
      }
      expect(datasync.mock.calls.length > 0).toBe(isAnchored);
      datasync.mockRestore();
    },
  );

  test('names what it removes also where the first line of a file can be written only later', async () => {
    const path = join(directory, 'audit.jsonl');
    const handle = await open(join(directory, 'other'), 'w');
    const appendFile = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'appendFile');
    await handle.close();
    await using audit = await openAudit(path, () => 0, { maxFileBytes: 1, maxFiles: 1 });
    await audit.note('thing.done', {});
    appendFile.mockRejectedValueOnce(new Error('the disk is busy'));
    await expect(audit.note('thing.lost', {})).rejects.toThrow();
    const earlier = async () =>
      (await readdir(directory)).filter((name) => name.startsWith('audit-until-')).sort();
    // A file that no line names as removed is still there.
    const [first, second] = await earlier();
    expect(second).toBeDefined();
    await audit.note('thing.done', {});
    expect(await earlier()).toEqual([second]);
    const [begun] = await lines(path);
    expect(begun).toMatchObject({ event: 'audit.rotated', earlier: second, removed: first });
    appendFile.mockRestore();
  });

  test('goes on from the file before it when a crash came between the two', async () => {
    const path = join(directory, 'audit.jsonl');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const [, last] = await lines(path);
    await rename(path, join(directory, 'audit-until-000000000002.jsonl'));
    {
      await using audit = await openAudit(path, () => 0);
      await audit.flush();
    }
    expect((await lines(path))[0]).toMatchObject({ seq: 3, prev: last?.hash });
  });

  test('keeps what only has to be known in order until there is room, and counts what is too much', async () => {
    const path = join(directory, 'audit.jsonl');
    await using audit = await openAudit(path, () => 0, { mostWaiting: 3 });
    const disk = await fullDisk(join(directory, 'other'));
    audit.record('thing.seen', { n: 0 });
    await audit.flush();
    for (let n = 1; n < 10; n += 1) audit.record('thing.seen', { n });
    audit.recordLockOut('thing.locked', {});
    await audit.flush();
    disk.empty();
    await audit.flush();
    expect((await lines(path)).map(({ event, n, count }) => [event, n ?? count])).toEqual([
      ['audit.opened', undefined],
      ['thing.seen', 0],
      ['thing.seen', 1],
      ['thing.seen', 2],
      ['thing.locked', undefined],
      ['audit.dropped', 7],
    ]);
  });
});

describe('the reserve on the disk', () => {
  test('is used for a lock-out alone, and what lets somebody in is refused until it is back', async () => {
    const path = join(directory, 'audit.jsonl');
    const reserve = await openDiskReserve(join(directory, 'reserve'), 4_096);
    await using audit = await openAudit(path, () => 0, { reserve });
    const disk = await fullDisk(join(directory, 'other'));
    const failed = { code: 'DAAS_GATEWAY_AUDIT_FAILED' };
    await expect(audit.note('thing.done', {})).rejects.toMatchObject(failed);
    expect(reserve.isSpent()).toBe(false);
    audit.recordLockOut('thing.locked', {});
    await audit.flush();
    expect(reserve.isSpent()).toBe(true);
    disk.empty();
    await expect(audit.note('thing.done', {})).rejects.toMatchObject(failed);
    await reserve.restore();
    await audit.note('thing.done', {});
    expect(reserve.isSpent()).toBe(false);
  });
});
