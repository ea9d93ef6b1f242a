import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { silentLog } from '#base';
import { FakeClock, settled } from '#testing';
import type { Ban } from './bans.ts';
import { followFence, peersToFence } from './fence-feed.ts';
import { fenceFile, parseFenceFile } from './fence-file.ts';
import { aWorker } from './worker.fixture.ts';
import type { Worker } from './worker.ts';

const addressesOf = (addresses: Readonly<Record<string, readonly string[]>>) => (nodeId: string) =>
  addresses[nodeId] ?? [];

test('a banned node’s peers are those that it connected from, and stay when it is seen no more', () => {
  const first = peersToFence({
    banned: ['bad'],
    before: [],
    addressesOf: addressesOf({ bad: ['192.0.2.7', '::ffff:192.0.2.8'], good: ['192.0.2.9'] }),
    live: new Set(['192.0.2.9']),
  });
  expect(first.peers.map(({ address }) => address)).toEqual(['192.0.2.7', '192.0.2.8']);
  const later = {
    banned: ['bad'],
    before: first.peers,
    addressesOf: addressesOf({}),
    live: new Set<string>(),
  };
  expect(peersToFence(later).peers).toEqual(first.peers);
  expect(peersToFence({ ...later, banned: [] }).peers).toEqual([]);
});

test('an address that an admitted node connects from too is left open, also when that node comes later', () => {
  const before = [{ nodeId: 'bad', address: '192.0.2.7' }];
  for (const address of ['192.0.2.7', '::ffff:192.0.2.7'])
    expect(
      peersToFence({ banned: ['bad'], before, addressesOf: addressesOf({}), live: new Set([address]) }),
    ).toEqual({ peers: [], shared: before });
});

test.each([
  '{"peers":[{"nodeId":"bad","address":"0.0.0.0/0"}]}',
  '{"peers":[{"nodeId":"a b","address":"::1"}]}',
  '[]',
])('the helper reads nothing from %s', (text) => {
  expect(() => parseFenceFile(text)).toThrow();
});

test('the file follows bans, and outlives the gateway', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'fence-'));
  onTestFinished(() => rm(stateDir, { recursive: true }));
  const bans = new Map<string, Ban>();
  const lines: string[] = [];
  const clock = new FakeClock();
  const start = (addresses: Readonly<Record<string, readonly string[]>>) => {
    const stop = new AbortController();
    const running = followFence(
      {
        config: { stateDir },
        registry: {
          bans: () => bans,
          worker: () => undefined as Worker | undefined,
          workers: () => [aWorker({ nodeId: 'good' })],
        },
        usage: {
          of: (nodeId) => ({
            registrations: 0,
            sinceMs: undefined,
            supersededAtMs: undefined,
            addresses: addresses[nodeId] ?? [],
          }),
        },
        audit: { record: (event) => void lines.push(event) },
        clock,
        log: silentLog,
      },
      stop.signal,
    );
    return async () => {
      stop.abort();
      await running;
    };
  };
  const peers = async () => parseFenceFile(await readFile(fenceFile({ stateDir }), 'utf8'));
  const end = start({ bad: ['192.0.2.7'], good: ['192.0.2.9'] });
  bans.set('bad', {
    subject: 'node_id',
    value: 'bad',
    reason: 'slashed',
    sinceMs: clock.nowMs(),
    recordId: undefined,
  });
  await expect
    .poll(async () => {
      await clock.advance(1_000);
      await settled();
      return peers().catch(() => undefined);
    })
    .toEqual([{ nodeId: 'bad', address: '192.0.2.7' }]);
  await end();
  expect(lines).toEqual(['fence.peer']);
  // After a restart no address is known any more.
  const endAgain = start({});
  await settled();
  expect(await peers()).toHaveLength(1);
  bans.clear();
  await expect
    .poll(async () => {
      await clock.advance(1_000);
      await settled();
      return peers();
    })
    .toEqual([]);
  await endAgain();
});
