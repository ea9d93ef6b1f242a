import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { acquireLock } from './lock.ts';
import { isAlive, parseStat, processIdentity } from './process-identity.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lock-'));
});
afterEach(() => rm(directory, { recursive: true }));
const path = () => join(directory, 'host.lock');

test('a lock names its holder and is gone after release', async () => {
  {
    await using lock = await acquireLock(path(), 'the test directory');
    expect(JSON.parse(await readFile(lock.path, 'utf8'))).toMatchObject({ pid: process.pid });
  }
  expect(await readdir(directory)).toEqual([]);
});

test('a lock that a living process holds is refused with its pid', async () => {
  await using _lock = await acquireLock(path(), 'the test directory');
  await expect(acquireLock(path(), 'the test directory')).rejects.toMatchObject({
    code: 'DAAS_LOCK_HELD',
    message: expect.stringContaining(`process ${process.pid}`),
  });
});

test('the lock of a killed process is taken over', async () => {
  const child = spawn('sleep', ['60']);
  const identity = await processIdentity(child.pid as number);
  await writeFile(path(), JSON.stringify(identity));
  await expect(acquireLock(path(), 'x')).rejects.toMatchObject({ code: 'DAAS_LOCK_HELD' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await using _lock = await acquireLock(path(), 'x');
});

test('a pid that was reused by another process does not hold the lock', async () => {
  const self = await processIdentity(process.pid);
  await writeFile(path(), JSON.stringify({ ...self, startTicks: 1 }));
  await using _lock = await acquireLock(path(), 'x');
});

test('a lock file with rubbish in it is taken over', async () => {
  await writeFile(path(), 'not json');
  await using _lock = await acquireLock(path(), 'x');
});

test('of many that race for a stale lock exactly one gets it, every time', async () => {
  const winners: number[] = [];
  for (let round = 0; round < 30; round += 1) {
    await writeFile(path(), JSON.stringify({ pid: 1, startTicks: round, bootId: 'of another boot' }));
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => acquireLock(path(), 'x')));
    winners.push(results.filter((result) => result.status === 'fulfilled').length);
  }
  expect(winners).toEqual(Array.from({ length: 30 }, () => 1));
  expect(await readdir(directory)).toEqual(['host.lock']);
});

test('a guard that a dead process left behind stands in nobody’s way', async () => {
  const dead = JSON.stringify({ pid: 1, startTicks: 0, bootId: 'of another boot' });
  await writeFile(path(), dead);
  await writeFile(`${path()}.guard`, dead);
  await using _lock = await acquireLock(path(), 'x');
  expect(await readdir(directory)).toEqual(['host.lock']);
});

test('a command name with spaces and parentheses does not shift the fields of stat', () => {
  const tail = Array.from({ length: 18 }, (_, index) => index).join(' ');
  expect(parseStat(`42 (a) S 7 (x)) R 9 ${tail} 77`)).toMatchObject({ state: 'R', parentPid: 9 });
});

test('the identity of this process is alive', async () => {
  const self = await processIdentity(process.pid);
  expect(self && (await isAlive(self))).toBe(true);
});
