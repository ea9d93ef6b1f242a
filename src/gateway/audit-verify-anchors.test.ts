import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AuditAnchor } from '#domain';
import { type Audit, openAudit } from './audit.ts';
import { auditPlace } from './audit-reading.ts';
import { createAuditSigner, macKeyOf, publicHexOf } from './audit-signer.ts';
import { type AuditTrust, verifyAudit } from './audit-verify.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'audit-'));
  path = join(directory, 'audit.jsonl');
});
afterEach(() => rm(directory, { recursive: true }));

const { privateKey } = generateKeyPairSync('ed25519');
const publicKey = publicHexOf(privateKey);
const trust: AuditTrust = { keys: [publicKey], mac: { publicKey, key: macKeyOf(privateKey) } };

/** As the gateway, or a thief of its signing key, writes; lines are of the hour `hour`. */
async function write(hour: number, act: (audit: Audit) => Promise<void>): Promise<void> {
  const signer = createAuditSigner(privateKey, '0xgateway');
  await using audit = await openAudit(path, () => hour * 3_600_000, { signer });
  await act(audit);
}

async function notes(hour: number, ...ids: readonly string[]): Promise<AuditAnchor> {
  let anchor: AuditAnchor | undefined;
  await write(hour, async (audit) => {
    for (const id of ids) await audit.note('ban.set', { id });
    anchor = { ...(await audit.settled()), atMs: hour * 3_600_000, digest: `digest-of-hour-${hour}` };
    audit.record('audit.anchored', { anchored: anchor.sequence });
  });
  if (!anchor) throw new Error('nothing was anchored');
  return anchor;
}

const atOf = (hour: number) => new Date(hour * 3_600_000).toISOString();
const verified = async (...anchors: readonly AuditAnchor[]) =>
  verifyAudit(await auditPlace(directory), { ...trust, anchors });

test('an audit file that has every anchored line is whole', async () => {
  const anchors = [await notes(1, 'a', 'b'), await notes(2, 'c')];
  expect(await verified(...anchors)).toMatchObject({
    problemCount: 0,
    anchored: { held: 2, before: 0, givenUp: 0, noted: 2 },
  });
  expect((await verifyAudit(await auditPlace(directory), trust)).anchored).toBeUndefined();
});

test('a file that a thief of the signing key has made anew is named by the anchored line, its hash and the transaction', async () => {
  const anchor = await notes(1, 'a', 'b', 'c');
  await rm(directory, { recursive: true });
  directory = await mkdtemp(join(tmpdir(), 'audit-'));
  path = join(directory, 'audit.jsonl');
  await notes(1, 'a', 'c', 'd', 'e');
  // Without the anchor everything is as it should be.
  expect(await verified()).toMatchObject({ problemCount: 0 });
  expect(await verified(anchor)).toMatchObject({
    problemCount: 1,
    problems: [
      {
        file: path,
        line: anchor.sequence,
        fault: 'not_as_seen',
        detail: expect.stringMatching(
          `line ${anchor.sequence} .*digest-of-hour-1.*${anchor.hash}.* has the hash`,
        ),
      },
    ],
  });
});

test('a file that was put back, or shortened, is named by the line that is missing at its end', async () => {
  await notes(1, 'a');
  const earlier = await readFile(path);
  const anchor = await notes(2, 'b');
  await writeFile(path, earlier);
  await rm(join(directory, 'audit-head.json'));
  expect(await verified(anchor)).toMatchObject({
    problemCount: 1,
    problems: [{ fault: 'end_missing', detail: expect.stringContaining('is missing at its end') }],
  });
});

test('a restore after the anchor gives it up, and one before it does not', async () => {
  await notes(1, 'a');
  const earlier = await readFile(path);
  const anchor = await notes(2, 'b');
  const restoreAt = async (hour: number, restoredHour = hour) => {
    await writeFile(path, earlier);
    await rm(join(directory, 'audit-head.json'), { force: true });
    await write(hour, (audit) => audit.note('state.restored', { restored_at: atOf(restoredHour) }));
    return verified(anchor);
  };
  expect(await restoreAt(3)).toMatchObject({ problemCount: 0, anchored: { held: 0, givenUp: 1 } });
  expect((await restoreAt(2)).problemCount).toBe(1);
  // The next start has written it down after the anchor.
  expect((await restoreAt(3, 1)).problemCount).toBe(1);
  const given = async (transaction: string) => {
    await writeFile(path, earlier);
    await write(3, (audit) => audit.note('audit.anchor-given-up', { transaction }));
    return verified(anchor);
  };
  expect(await given(anchor.digest)).toMatchObject({ problemCount: 0, anchored: { givenUp: 1 } });
  expect(await given('of another')).toMatchObject({ problemCount: 1, anchored: { givenUp: 0 } });
});

test('an anchor of before the files is counted apart, and the first line has to continue it', async () => {
  const anchor = await notes(1, 'a');
  const [opened, ...rest] = (await readFile(path, 'utf8')).split('\n');
  await writeFile(path, rest.join('\n'));
  const { hash } = JSON.parse(opened ?? '');
  expect((await verified({ ...anchor, sequence: 1, hash })).anchored).toMatchObject({ held: 0, before: 1 });
  expect(await verified({ ...anchor, sequence: 1 })).toMatchObject({
    problemCount: 1,
    problems: [{ fault: 'not_as_seen' }],
    anchored: { before: 0 },
  });
});
