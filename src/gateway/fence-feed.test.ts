import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { silentLog } from '#base';
import { FakeClock, FakeKubernetes, settled } from '#testing';
import type { Ban } from './bans.ts';
import { banKey } from './bans.ts';
import { followFence } from './fence-feed.ts';
import { fenceFile, noFence, parseFenceFile } from './fence-file.ts';
import { peerAddress } from './peer-address.ts';
import { type FenceSight, peersToFence } from './peers-to-fence.ts';
import { createTokenUsage } from './token-usage.ts';
import { aWorker } from './worker.fixture.ts';
import type { Worker } from './worker.ts';
import type { WorkerChange } from './worker-index.ts';

const sight = (change: Partial<FenceSight> = {}): FenceSight => ({
  banned: ['bad'],
  before: noFence,
  peersOf: () => [],
  sharerOf: () => undefined,
  ...change,
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['2001:db8:1:2::/64', undefined],
  ['', undefined],
  [undefined, undefined],
])('a firewall takes %s as %s', (given, address) => {
  expect(peerAddress(given)).toBe(address);
});

test('a banned node’s peers are those that it connected from, and stay when it is seen no more', () => {
  const first = peersToFence(sight({ peersOf: () => ['192.0.2.7', '::ffff:192.0.2.8'] }));
  expect(first.peers.map(({ address }) => address)).toEqual(['192.0.2.7', '192.0.2.8']);
  expect(peersToFence(sight({ before: first })).peers).toEqual(first.peers);
  expect(peersToFence(sight({ before: first, banned: [] }))).toEqual(noFence);
});

test('an address that is none breaks nothing: the others are fenced', () => {
  const before = { peers: [{ nodeId: 'bad', address: '2001:db8:1:2::/64' }], shared: [] };
  const { peers } = peersToFence(sight({ before, peersOf: () => ['2001:db8::7', 'x; drop'] }));
  expect(peers).toEqual([{ nodeId: 'bad', address: '2001:db8::7' }]);
});

test('an address that an admitted node connects from too is left open, also when that node comes later', () => {
  const peers = [{ nodeId: 'bad', address: '192.0.2.7' }];
  const sharerOf = () => 'node good';
  const shared = [{ nodeId: 'bad', address: '192.0.2.7', sharedWith: 'node good' }];
  expect(peersToFence(sight({ before: { peers, shared: [] }, sharerOf }))).toEqual({ peers: [], shared });
  // And fenced when that node has gone.
  expect(peersToFence(sight({ before: { peers: [], shared } }))).toEqual({ peers, shared: [] });
});

test.each([
  '{"peers":[{"nodeId":"bad","address":"0.0.0.0/0"}]}',
  '{"peers":[{"nodeId":"a b","address":"::1"}]}',
])('the helper reads nothing from %s, and what is beside it', (text) => {
  const beside = text.replace(']}', ',{"nodeId":"bad","address":"2001:DB8::7"}]}');
  expect(parseFenceFile(beside)).toEqual({
    peers: [{ nodeId: 'bad', address: '2001:db8::7' }],
    shared: [],
    unusable: 1,
  });
});

test('the helper refuses what is no list', () => {
  expect(() => parseFenceFile('[]')).toThrow();
});

describe('the file', () => {
  async function world() {
    const stateDir = await mkdtemp(join(tmpdir(), 'fence-'));
    onTestFinished(() => rm(stateDir, { recursive: true }));
    const bans = new Map<string, Ban>();
    const workers = new Map<string, Worker>([['good', aWorker({ nodeId: 'good' })]]);
    const lines: string[] = [];
    const clock = new FakeClock();
    const kubernetes = new FakeKubernetes(clock);
    const audit = {
      record: (event: string, facts: object) => void lines.push([event, ...Object.values(facts)].join(' ')),
    };
    const names = new Map([['server-1', 'ordinary']]);
    const nodes = new Map([['server-1', kubernetes.addNode('server-1', { addresses: ['198.51.100.1'] })]]);
    let looks = 0;
    let banChanged: () => void = () => undefined;
    let workerChanged: WorkerChange = () => undefined;
    function start() {
      const usage = createTokenUsage({ audit, nowMs: () => clock.nowMs(), heartbeats: 'hourly' });
      const stop = new AbortController();
      const running = followFence(
        {
          config: { stateDir, server: 'https://[2001:db8::53]:6443', heartbeatIntervalMs: 1_000 },
          registry: {
            bans: () => bans,
            worker: (nodeId) => {
              looks += 1;
              return workers.get(nodeId);
            },
            onBanChange: (listener) => {
              banChanged = listener;
            },
            onWorkerChange: (listener) => {
              workerChanged = listener;
            },
          },
          reconciler: { nodes: () => nodes, names: () => names },
          usage,
          audit,
          clock,
          log: silentLog,
          ownAddresses: () => ['203.0.113.1'],
        },
        stop.signal,
      );
      return {
        connect: (nodeId: string, peer: string) => usage.registered(nodeId, { address: peer, peer }),
        end: async () => {
          stop.abort();
          await running;
        },
      };
    }
    const orders = async () => parseFenceFile(await readFile(fenceFile({ stateDir }), 'utf8'));
    return {
      start,
      orders,
      lines,
      looks: () => looks,
      ban: (value: string) => {
        const ban: Ban = {
          subject: 'node_id',
          value,
          reason: 'slashed',
          sinceMs: clock.nowMs(),
          recordId: undefined,
        };
        bans.set(banKey(ban), ban);
        banChanged();
      },
      lift: () => {
        bans.clear();
        banChanged();
      },
      change: (before: Worker | undefined, after: Worker | undefined) => {
        if (after) workers.set(after.nodeId, after);
        workerChanged(before, after);
      },
      pass: async (ms: number) => {
        await clock.advance(ms, 1_000);
        await settled();
      },
      comesTo: (addresses: readonly string[]) =>
        expect
          .poll(
            async () => {
              await clock.advance(1_000);
              await settled();
              return (await orders().catch(() => noFence)).peers.map(({ address }) => address);
            },
            { timeout: 15_000, interval: 20 },
          )
          .toEqual(addresses),
    };
  }

  test('follows bans, and outlives the gateway', async () => {
    const { start, ban, lift, lines, orders, pass, comesTo } = await world();
    const first = start();
    first.connect('bad', '192.0.2.7');
    first.connect('good', '192.0.2.9');
    ban('bad');
    await comesTo(['192.0.2.7']);
    await first.end();
    expect(lines).toEqual(['fence.peer bad 192.0.2.7']);
    // After a restart no address is known any more.
    const second = start();
    await pass(2_000);
    expect((await orders()).peers).toHaveLength(1);
    lift();
    await comesTo([]);
    await second.end();
  });

  test('leaves open what a Node of the operator’s, the gateway or a server has too, and says who', async () => {
    const { start, ban, lines, comesTo, orders } = await world();
    const { connect, end } = start();
    for (const address of ['198.51.100.1', '203.0.113.1', '2001:db8::53', '192.0.2.7'])
      connect('bad', address);
    ban('bad');
    await comesTo(['192.0.2.7']);
    expect((await orders()).shared.map(({ sharedWith }) => sharedWith)).toEqual([
      'node server-1',
      'the gateway',
      'gateway.server',
    ]);
    await end();
    expect(lines).toContain('fence.shared bad 198.51.100.1 node server-1');
  });

  test('opens an address at once when an admitted node comes by it', async () => {
    const { start, ban, comesTo } = await world();
    const { connect, end } = start();
    connect('bad', '2001:db8::7');
    ban('bad');
    await comesTo(['2001:db8::7']);
    connect('good', '2001:db8::7');
    await comesTo([]);
    await end();
  });

  test('after a restart fences nothing before every node could be heard: not what was left open, nor what is new', async () => {
    const { start, ban, comesTo, orders, pass } = await world();
    const first = start();
    for (const nodeId of ['bad', 'good']) first.connect(nodeId, '192.0.2.7');
    first.connect('bad', '192.0.2.8');
    ban('bad');
    await comesTo(['192.0.2.8']);
    await first.end();
    const second = start();
    second.connect('bad', '192.0.2.9');
    await pass(2_000);
    expect(await orders()).toMatchObject({
      peers: [{ address: '192.0.2.8' }],
      shared: [{ address: '192.0.2.7', sharedWith: 'node good' }],
    });
    second.connect('good', '192.0.2.7');
    await comesTo(['192.0.2.8', '192.0.2.9']);
    expect((await orders()).shared).toHaveLength(1);
    await second.end();
  });

  test('costs nothing while nothing changes that it depends on, however many workers there are', async () => {
    const { start, ban, comesTo, looks, pass, change } = await world();
    const { connect, end } = start();
    connect('bad', '192.0.2.7');
    ban('bad');
    await comesTo(['192.0.2.7']);
    const before = looks();
    for (let index = 0; index < 1_000; index += 1) {
      const worker = aWorker({ nodeId: `worker-${index}` });
      connect(worker.nodeId, `10.0.${index >> 8}.${index & 255}`);
      change(undefined, worker);
    }
    await pass(30_000);
    expect(looks()).toBe(before);
    await end();
  });
});
