import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Audit, openAudit } from './audit.ts';
import { GENESIS, lineHash } from './audit-chain.ts';
import { exportNode, verifyExport } from './audit-export.ts';
import { auditPlace } from './audit-reading.ts';
import { createAuditSigner, macKeyOf, publicHexOf } from './audit-signer.ts';
import { type AuditTrust, verifyAudit } from './audit-verify.ts';
import { isIncluded, merkleTree } from './merkle.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'audit-'));
  path = join(directory, 'audit.jsonl');
});
afterEach(() => rm(directory, { recursive: true }));

const { privateKey } = generateKeyPairSync('ed25519');
const signer = createAuditSigner(privateKey, '0xgateway');
const publicKey = publicHexOf(privateKey);
/** What the gateway's machine can check, and what anybody with the public key can. */
const owner: AuditTrust = { keys: [publicKey], mac: { publicKey, key: macKeyOf(privateKey) } };
const stranger: AuditTrust = { keys: [publicKey] };

async function write(act: (audit: Audit) => Promise<void>, options = {}): Promise<void> {
  await using audit = await openAudit(path, () => 0, { signer, ...options });
  await act(audit);
}

/** Seven lines about two nodes, and a checkpoint. */
const sixNotes = () =>
  write(async (audit) => {
    for (let n = 1; n <= 6; n += 1) await audit.note('thing.done', { node_id: n % 2 ? 'one' : 'two', n });
  });

const texts = async () => (await readFile(path, 'utf8')).trimEnd().split('\n');
const rewrite = (lines: readonly string[]) => writeFile(path, `${lines.join('\n')}\n`);
const verified = async (trust: AuditTrust) => verifyAudit(await auditPlace(directory), trust);
const faults = async (trust: AuditTrust) =>
  (await verified(trust)).problems.map(({ file, line, fault }) => [file === path ? line : file, fault]);

/** What somebody can do who may write the files and has no key. */
function rechained(lines: readonly string[]): string[] {
  let [seq, prev] = [0, GENESIS.hash];
  return lines.map((text) => {
    const { hash: _, mac, ...rest } = JSON.parse(text);
    seq += 1;
    const body = { ...rest, seq, prev };
    prev = lineHash(body);
    return JSON.stringify({ ...body, hash: prev, mac });
  });
}

describe('audit verify', () => {
  test('finds nothing in what a gateway wrote, over restarts, rotation and a line cut by a crash', async () => {
    for (const round of [1, 2, 3]) {
      await write(
        async (audit) => {
          for (let n = 0; n < 10; n += 1) await audit.note('thing.done', { round, n });
        },
        { maxFileBytes: 2_000 },
      );
      await writeFile(path, '{"seq":99,"at":"19', { flag: 'a' });
    }
    await write(async () => undefined);
    expect((await readdir(directory)).length).toBeGreaterThan(3);
    const report = await verified(owner);
    expect(report.problems).toEqual([]);
    expect(report).toMatchObject({ first: 1, lines: report.head.sequence, macs: report.lines });
    expect(report.signedThrough).toBe(report.head.sequence - 1);
  });

  test('finds nothing in files of an earlier version, and continues them', async () => {
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    await sixNotes();
    expect(await verified(owner)).toMatchObject({ problems: [], lines: 10, macs: 8 });
  });

  test('names the line that was changed, also when its hash was made anew', async () => {
    await sixNotes();
    const lines = await texts();
    const changed = lines[3]?.replace('"n":3', '"n":4') ?? '';
    await rewrite(lines.with(3, changed));
    expect(await faults(stranger)).toEqual([[4, 'changed']]);
    const { hash: _hash, mac, ...body } = JSON.parse(changed);
    const hash = lineHash(body);
    await rewrite(lines.with(3, JSON.stringify({ ...body, hash, mac })));
    expect(await faults(stranger)).toEqual([
      [5, 'rechained'],
      [8, 'signature'],
    ]);
    expect(await faults(owner)).toEqual([
      [4, 'keyed_hash'],
      [5, 'rechained'],
      [8, 'signature'],
    ]);
  });

  test('names the line after which one is lost', async () => {
    await sixNotes();
    await rewrite((await texts()).toSpliced(3, 1));
    const { problems } = await verified(stranger);
    expect(problems).toMatchObject([
      { file: path, line: 4, fault: 'missing', detail: 'line 4 is missing before it' },
    ]);
  });

  test('finds a chain that somebody without the key has made anew', async () => {
    await sixNotes();
    await rewrite(rechained((await texts()).toSpliced(3, 1)));
    expect(await faults(stranger)).toEqual([
      [7, 'signature'],
      [7, 'end_missing'],
    ]);
    expect((await faults(owner))[0]).toEqual([4, 'keyed_hash']);
  });

  test('finds a chain that somebody has signed with another key', async () => {
    const other = generateKeyPairSync('ed25519').privateKey;
    await write(async (audit) => audit.note('thing.done', {}), {
      signer: createAuditSigner(other, '0xgateway'),
    });
    expect(await faults(stranger)).toEqual([
      [1, 'keyed_hash'],
      [3, 'signature'],
    ]);
  });

  test('finds a chain that somebody without the key has made anew as an earlier version would have', async () => {
    await sixNotes();
    const unkeyed = (await texts()).slice(0, -1).map((text) => {
      const { mac: _mac, key: _key, ...rest } = JSON.parse(text);
      return JSON.stringify(rest);
    });
    await rewrite(rechained(unkeyed.toSpliced(3, 1)));
    await rm(join(directory, 'audit-head.json'));
    expect(await faults({ keys: [] })).toEqual([]);
    expect(await faults(stranger)).toEqual([[6, 'unsigned']]);
    expect(await faults(owner)).toEqual([[6, 'unsigned']]);
  });

  test('finds that the end is lost, and the gateway says so at its next start', async () => {
    await sixNotes();
    const lines = await texts();
    await rewrite(lines.slice(0, 5));
    expect(await faults(stranger)).toEqual([[5, 'end_missing']]);
    let lost = 0;
    await write(async () => undefined, {
      onLoss: (count: number) => {
        lost = count;
      },
    });
    expect(lost).toBe(3);
    expect(JSON.parse((await texts())[5] ?? '')).toMatchObject({ event: 'audit.opened', missing: 3 });
  });

  test('finds that a line which an earlier run has seen is another one now, or gone', async () => {
    await sixNotes();
    const { head } = await verified(stranger);
    expect(await faults({ ...stranger, seen: head })).toEqual([]);
    expect(await faults({ ...stranger, seen: { ...head, hash: '0'.repeat(64) } })).toEqual([
      [8, 'not_as_seen'],
    ]);
    await rm(join(directory, 'audit-head.json'));
    await rewrite((await texts()).slice(0, 7));
    expect(await faults({ ...stranger, seen: head })).toEqual([[7, 'end_missing']]);
  });

  test('finds a run of lines without a keyed hash after one with it', async () => {
    await sixNotes();
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    expect(await faults(stranger)).toEqual([[9, 'keyed_hash']]);
  });

  test('finds a whole file that is gone', async () => {
    await write(
      async (audit) => {
        for (let n = 0; n < 30; n += 1) await audit.note('thing.done', { n });
      },
      { maxFileBytes: 2_000 },
    );
    const [, second] = (await readdir(directory)).filter((name) => name.includes('until')).sort();
    await rm(join(directory, second ?? ''));
    expect((await verified(stranger)).problems).toMatchObject([{ line: 1, fault: 'missing' }]);
  });
});

test('a checkpoint is due after a minute, or a thousand lines', async () => {
  let nowMs = 0;
  await using audit = await openAudit(path, () => nowMs, { signer });
  nowMs = 59_999;
  await audit.flush();
  expect(await texts()).toHaveLength(1);
  nowMs = 60_000;
  await audit.flush();
  expect(JSON.parse((await texts())[1] ?? '')).toMatchObject({
    event: 'audit.checkpoint',
    from: 1,
    through: 1,
  });
  await Promise.all(Array.from({ length: 1_000 }, (_, n) => audit.note('thing.done', { n })));
  await audit.flush();
  expect(JSON.parse((await texts()).at(-1) ?? '')).toMatchObject({ from: 3, through: 1_002 });
});

describe('audit export', () => {
  test('proves the lines about one node to whoever has the public key, and shows no others', async () => {
    await sixNotes();
    const exported = await exportNode([path], 'one');
    expect(JSON.stringify(exported)).not.toContain('two');
    expect(verifyExport(exported, [publicKey])).toMatchObject({ lines: 3, proven: 3, problems: [] });
    const other = publicHexOf(generateKeyPairSync('ed25519').privateKey);
    expect(verifyExport(exported, [other]).problems).toHaveLength(3);
  });

  test('a line that was changed, or is another one, is named', async () => {
    await sixNotes();
    const { lines, ...exported } = await exportNode([path], 'one');
    const forge = (line: string) => {
      const { hash: _, mac: __, ...body } = JSON.parse(line.replace('"n":3', '"n":33'));
      return JSON.stringify({ ...body, hash: lineHash(body) });
    };
    const forged = lines.map((entry) => ({ ...entry, line: forge(entry.line) }));
    expect(verifyExport({ ...exported, lines: forged }, [publicKey]).problems).toEqual([
      { line: 2, detail: 'it is not among the lines that its checkpoint signs' },
    ]);
    const changed = lines.map((entry) => ({ ...entry, line: entry.line.replace('"n":3', '"n":33') }));
    expect(verifyExport({ ...exported, lines: changed }, [publicKey]).problems).toMatchObject([{ line: 2 }]);
  });
});

test('every leaf of a tree of any size is included, and nothing else is', () => {
  const leaf = (n: number) => createHash('sha256').update(String(n)).digest('hex');
  for (let size = 1; size <= 33; size += 1) {
    const leaves = Array.from({ length: size }, (_, n) => leaf(n));
    const { root, pathOf } = merkleTree(leaves);
    for (let index = 0; index < size; index += 1) {
      const place = { leaf: leaf(index), index, size, path: pathOf(index), root };
      expect(isIncluded(place)).toBe(true);
      expect(isIncluded({ ...place, leaf: leaf(99) })).toBe(false);
      if (size > 1) expect(isIncluded({ ...place, index: (index + 1) % size })).toBe(false);
    }
  }
});
