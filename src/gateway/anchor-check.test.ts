import { mkdirSync, rmSync } from 'node:fs';
import { appendFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { settled } from '#testing';
import {
  Anchored,
  anchoredWorld,
  auditOf,
  ban,
  bannedAndAnchored,
  events,
  hasLogged,
  isAbout,
  putBoth,
  rolledBack,
  siteOf,
  stopAndCopy,
  textOf,
} from './anchors.fixture.ts';
import { type AuditEntry, chainLines } from './audit-chain.ts';
import { parseAuditLine } from './audit-reading.ts';
import { backUpState, openBackup } from './state-maintenance.ts';
import { World } from './world.fixture.ts';

test('a state and an audit file that were put back together are found by the anchor on chain', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await stopAndCopy(world);
  const { sequence, digest } = await bannedAndAnchored(world, chain);
  await putBoth(world);
  await expect(world.startGateway()).rejects.toMatchObject({
    ...rolledBack,
    message: expect.stringMatching(
      new RegExp(
        `line ${sequence} of the audit file.*${digest}.*is missing at its end.*gateway state restore`,
      ),
    ),
  });
  expect(await events(world, 'state.rolled_back')).toMatchObject([
    { anchored: sequence, transaction: digest },
  ]);
  // The lines that failed starts write do not take the place of the anchored one.
  for (let start = 0; start < 6; start += 1)
    await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
  expect((await world.audit()).length).toBeGreaterThan(sequence);
  await expect(world.startGateway()).rejects.toMatchObject({
    ...rolledBack,
    message: expect.stringContaining('has the hash'),
  });
});

test('the operator accepts what was put back by restoring it, and the audit file remembers that', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await stopAndCopy(world);
  await bannedAndAnchored(world, chain);
  await putBoth(world);
  const nowMs = world.clock.nowMs() + 1_000;
  await world.clock.advance(2_000);
  const { text } = await backUpState(siteOf(world), nowMs);
  await (await openBackup(siteOf(world), { text, path: 'backup', nowMs })).restore();
  await world.startGateway();
  expect(hasLogged(world, 'audit.anchor-given-up')).toBe(true);
  expect(await events(world, 'state.restored')).toHaveLength(1);
  // The state has forgotten the restore by now.
  await world.pass(61_000);
  await world.restartGateway();
  expect(await events(world, 'audit.anchor-given-up')).toHaveLength(2);
  // The line of the restore was in a file that is removed by now: the later one says the same.
  await world.stopGateway();
  const lines = (await textOf(world)).split('\n');
  const from = lines.findIndex((line) => line.includes('"state.restored"')) + 1;
  await writeFile(auditOf(world), lines.slice(from).join('\n'));
  await world.startGateway();
  await chain.probe();
  const already = world.logged.length;
  await world.restartGateway();
  expect(world.logged.slice(already).filter(isAbout('audit.anchor-given-up'))).toEqual([]);
});

test('a restore from before the anchor accepts nothing', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await world.stopGateway();
  const nowMs = world.clock.nowMs();
  const { text } = await backUpState(siteOf(world), nowMs);
  await (await openBackup(siteOf(world), { text, path: 'backup', nowMs })).restore();
  await world.startGateway();
  expect(await events(world, 'state.restored')).toHaveLength(1);
  await stopAndCopy(world);
  await bannedAndAnchored(world, chain);
  await putBoth(world);
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('an audit file that was made anew by a thief of the signing key is found, with the state in its place', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await chain.probe();
  await world.stopGateway();
  const { stateDir } = world.config;
  for (const name of await readdir(stateDir))
    if (name.startsWith('audit')) rmSync(join(stateDir, name), { force: true });
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('a gateway whose files were not touched starts, also after it was killed, and over set-aside files', async () => {
  const chain = new Anchored();
  await using world = await World.create({ audit: { maxFileBytes: 65_536, maxFiles: 1 } });
  world.options = chain.options;
  await world.startGateway();
  const anchor = await chain.probe();
  expect(await events(world, 'audit.anchored')).toMatchObject([
    { anchored: anchor.sequence, anchored_hash: anchor.hash, transaction: anchor.digest },
  ]);
  world.kill();
  await world.startGateway();
  await world.restartGateway();
  const fill = async () => {
    for (let line = 0; line < 200; line += 1) await ban(world, line);
  };
  await fill();
  // The anchored line is in the file that was set aside.
  expect((await textOf(world)).includes(anchor.hash)).toBe(false);
  await world.restartGateway();
  await fill();
  await fill();
  await fill();
  expect(hasLogged(world, 'audit.anchor-rotated')).toBe(false);
  // It is in none any more.
  await world.restartGateway();
  expect(hasLogged(world, 'audit.anchor-rotated')).toBe(true);
  expect(hasLogged(world, 'audit.anchor-given-up')).toBe(false);
});

test('a chain that is silent does not prevent a start, and what it says later counts', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await stopAndCopy(world);
  await bannedAndAnchored(world, chain);
  await putBoth(world);
  chain.isSilent = true;
  await world.startGateway();
  expect(hasLogged(world, 'audit.anchor-unread')).toBe(true);
  await world.pass(61_000);
  // An anchor of these files would be the newest, and hide that they were put back.
  await expect(chain.probe()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_AUDIT_FAILED' });
  chain.isSilent = false;
  const ended = expect(world.gateway?.ended).rejects.toMatchObject(rolledBack);
  await world.pass(61_000);
  await settled();
  await ended;
  // A restart does not forget it.
  await expect(world.restartGateway()).rejects.toMatchObject(rolledBack);
});

test('what the chain says later is looked at again where the audit files cannot be read then', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await chain.probe();
  chain.isSilent = true;
  await world.restartGateway();
  chain.isSilent = false;
  // It stands in the place of the newest earlier file.
  const unreadable = join(world.config.stateDir, 'audit-until-999999999999.jsonl');
  mkdirSync(unreadable);
  chain.anchors.push({ sequence: 1, hash: 'ab'.repeat(32), atMs: 0, digest: 'of-long-ago' });
  let isEnded = false;
  world.gateway?.ended.catch(() => {
    isEnded = true;
  });
  await appendFile(auditOf(world), '');
  await world.pass(61_000);
  await settled();
  expect(isEnded).toBe(false);
  rmSync(unreadable, { recursive: true });
  await world.pass(61_000);
  await expect.poll(() => chain.probe().catch(() => undefined)).toBeDefined();
});

test('nothing is anchored while no full node has shown all', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await chain.probe();
  chain.answered = 0;
  await world.restartGateway();
  await world.pass(61_000);
  await settled();
  await expect(chain.probe()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_AUDIT_FAILED' });
  chain.answered = 1;
  await world.pass(61_000);
  await expect.poll(() => chain.probe().catch(() => undefined)).toBeDefined();
});

test('a refusal does not wear off: what refused starts write takes no place of the anchored line', async () => {
  const chain = new Anchored();
  await using world = await World.create({ audit: { maxFileBytes: 65_536, maxFiles: 1 } });
  world.options = chain.options;
  await world.startGateway();
  await stopAndCopy(world);
  await bannedAndAnchored(world, chain);
  await putBoth(world);
  for (let start = 0; start < 130; start += 1)
    await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
  expect(await textOf(world)).not.toContain('"seq":1,');
});

test('a gateway that may keep more files than before starts', async () => {
  const chain = new Anchored();
  await using world = await World.create({ audit: { maxFileBytes: 65_536, maxFiles: 1 } });
  world.options = chain.options;
  await world.startGateway();
  await chain.probe();
  for (let line = 0; line < 700; line += 1) await ban(world, line);
  await world.stopGateway();
  world.config.audit.maxFiles = 9;
  chain.asked = 2;
  await world.startGateway();
  // The check is made again, and what is found once need not be looked for again.
  await world.pass(610_000);
  await settled();
  expect(world.logged.filter(isAbout('audit.anchor-rotated'))).toHaveLength(1);
});

test('a gateway that could not ask the chain at its start anchors again once it has', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await chain.probe();
  chain.isSilent = true;
  await world.restartGateway();
  await expect(chain.probe()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_AUDIT_FAILED' });
  chain.isSilent = false;
  await world.pass(61_000);
  await expect.poll(() => chain.probe().catch(() => undefined)).toBeDefined();
});

/** Continues the file of a gateway that stands still, without its key. */
async function appendLine(world: World, entry: Omit<AuditEntry, 'at'>): Promise<void> {
  const last = parseAuditLine((await textOf(world)).trimEnd().split('\n').at(-1) ?? '');
  if (!last) throw new Error('the audit file has no line');
  const at = new Date(world.clock.nowMs()).toISOString();
  await appendFile(
    auditOf(world),
    chainLines({ sequence: last.seq, hash: last.hash }, [{ at, ...entry }]).text,
  );
}

test('a line that only claims the anchored hash does not hold the anchor', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await stopAndCopy(world);
  const { sequence: seq, hash } = await bannedAndAnchored(world, chain);
  await putBoth(world);
  const at = new Date(world.clock.nowMs()).toISOString();
  await appendFile(auditOf(world), `${JSON.stringify({ seq, at, event: 'ban.set', prev: 'p', hash })}\n`);
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('the anchored line alone, without the lines before it, does not hold the anchor', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await stopAndCopy(world);
  const { hash } = await bannedAndAnchored(world, chain);
  const line = (await textOf(world)).split('\n').find((one) => one.includes(`"hash":"${hash}"`));
  await putBoth(world);
  await appendFile(auditOf(world), `${line}\n`);
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('a restore that somebody without the signing key has written accepts nothing', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await stopAndCopy(world);
  await bannedAndAnchored(world, chain);
  await putBoth(world);
  await world.clock.advance(1_000);
  await appendLine(world, { event: 'state.restored', facts: {} });
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('a restore of before the anchor accepts nothing, also where the next start writes it down', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await world.stopGateway();
  const nowMs = world.clock.nowMs();
  const { text: backup } = await backUpState(siteOf(world), nowMs);
  await (await openBackup(siteOf(world), { text: backup, path: 'backup', nowMs })).restore();
  await stopAndCopy(world);
  await bannedAndAnchored(world, chain);
  await world.clock.advance(1_000);
  await putBoth(world);
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('an audit file that was made anew behind the anchored line is found', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  const { sequence, hash } = await chain.probe();
  await world.stopGateway();
  for (const name of await readdir(world.config.stateDir))
    if (name.startsWith('audit')) rmSync(join(world.config.stateDir, name), { force: true });
  const at = new Date(world.clock.nowMs() + 60_000).toISOString();
  const { text: begun } = chainLines({ sequence, hash }, [{ at, event: 'audit.rotated', facts: {} }]);
  await writeFile(auditOf(world), begun, { mode: 0o600 });
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('an anchor that is later than now does not keep a gateway from starting, and hides none of before', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await chain.probe();
  const later = Date.UTC(2100, 0, 1);
  chain.anchors.push({ sequence: 9_000, hash: 'ab'.repeat(32), atMs: later, digest: 'of-a-thief' });
  await world.restartGateway();
  expect(hasLogged(world, 'audit.anchor-ahead')).toBe(true);
  await chain.probe();
  await stopAndCopy(world);
  await bannedAndAnchored(world, chain);
  await putBoth(world);
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('full nodes that show nothing do not end the check while another has not answered', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await stopAndCopy(world);
  const { digest } = await bannedAndAnchored(world, chain);
  await putBoth(world);
  chain.asked = 2;
  chain.hides = (anchor) => anchor.digest === digest;
  await world.startGateway();
  expect(hasLogged(world, 'audit.anchor-unread')).toBe(true);
  // One that never answers must not prevent anchors; and what is anchored meanwhile must not hide the earlier one.
  await world.pass(400_000);
  await chain.probe();
  chain.hides = () => false;
  chain.answered = 2;
  const ended = expect(world.gateway?.ended).rejects.toMatchObject(rolledBack);
  await world.pass(600_000);
  await settled();
  await ended;
});

test('an anchor that the audit file notes, and no full node shows, is named', async () => {
  const chain = new Anchored();
  await using world = await anchoredWorld(chain);
  await chain.probe();
  await world.restartGateway();
  expect(hasLogged(world, 'audit.anchor-hidden')).toBe(false);
  chain.hides = () => true;
  await world.restartGateway();
  expect(hasLogged(world, 'audit.anchor-hidden')).toBe(true);
});
