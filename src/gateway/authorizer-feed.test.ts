import { readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { KubernetesNode, VouchTable } from '#domain';
import { settled } from '#testing';
import { bannedNames, namesForServers } from './authorizer-files.ts';
import { nodeAccessOf, obstaclesToEnforcing, rulesOf } from './authorizer-rules.ts';
import { staker } from './members.fixture.ts';
import { CERTIFICATE_LIFE_MS } from './name-history.ts';
import { aWorker } from './worker.fixture.ts';
import { World } from './world.fixture.ts';

const fingerprint = 'a'.repeat(64);

/** Vouches for the kubelets of these nodes. */
function vouchesFor(names: ReadonlySet<string>): VouchTable {
  const ofNode = (nodeId: string) =>
    names.has(nodeId) ? [{ nodeId, identity: 'kubelet', fingerprint, notAfterMs: 0 } as const] : [];
  return { ofNode, byFingerprint: () => undefined };
}

describe('what speaks against enforcing', () => {
  const node = (name: string, isReady = true) => [name, { name, isReady } as KubernetesNode] as const;
  const ready = {
    nodes: new Map([node('server'), node('worker-1'), node('off', false)]),
    names: new Map([
      ['server', 'ordinary'],
      ['worker-1', 'basic'],
    ]),
    vouches: vouchesFor(new Set(['worker-1'])),
    serverFingerprints: [fingerprint],
    hasOrdinaryAgents: false,
  };
  test('nothing, when every Ready Node is vouched for or listed', () => {
    expect(obstaclesToEnforcing(ready)).toEqual([]);
  });
  test.each([
    ['a Ready Node without a vouched certificate', { vouches: vouchesFor(new Set()) }, /worker-1/],
    ['no vouching at all', { vouches: undefined }, /worker-1/],
    ['unknown certificates of the server', { serverFingerprints: [] }, /gateway authorizer/],
    ['Nodes that were not read', { nodes: undefined }, /not been read/],
  ])('%s', (_what, change, sentence) => {
    expect(obstaclesToEnforcing({ ...ready, ...change }).join()).toMatch(sentence);
  });
  test('not the server’s certificates, where ordinary agents have unknown ones anyway', () => {
    expect(obstaclesToEnforcing({ ...ready, serverFingerprints: [], hasOrdinaryAgents: true })).toEqual([]);
  });
});

test('the operator’s names are not judged, but for a reserved one without a Node: any join credential gets its certificate', () => {
  const names = new Map([
    ['server', 'ordinary'],
    ['coming', 'expected'],
    ['drained', 'reserved'],
    ['deleted', 'reserved'],
    ['worker-1', 'basic'],
  ]);
  const nodes = new Map(['server', 'drained', 'worker-1'].map((name) => [name, { name } as KubernetesNode]));
  const given = { names, serverFingerprints: [], isEnforced: true, isSettling: false };
  const config = { impersonators: [], ordinaryAgents: false } as unknown as Parameters<typeof rulesOf>[0];
  expect(rulesOf(config, { ...given, nodes }).operatorsNames).toEqual(['server', 'coming', 'drained']);
  expect(rulesOf(config, { ...given, nodes: undefined }).operatorsNames).toEqual(['server', 'coming']);
});

test('a worker that leaves takes its certificates along', () => {
  const vouches = vouchesFor(new Set(['worker-1']));
  const sight = { vouches, isContested: false };
  expect(nodeAccessOf(aWorker(), sight)).toMatchObject({ standing: 'live', vouches: [{ fingerprint }] });
  for (const kind of ['evicting', 'evicted'] as const)
    expect(nodeAccessOf(aWorker({ status: { kind, reason: 'slashed' } }), sight)).toEqual({
      nodeId: 'worker-1',
      standing: 'out',
      isContested: false,
      vouches: [],
    });
});

test('banned names stand as long as a certificate can live, unless the node is admitted again', () => {
  const ban = (value: string, sinceMs: number) =>
    ({ subject: 'node_id', value, reason: 'slashed', sinceMs, recordId: undefined }) as const;
  const bans = [
    ban('b', 10),
    ban('a', 10),
    ban('old', 0),
    ban('in', 10),
    { ...ban('0x1', 10), subject: 'staker' as const },
  ];
  const workerOf = (nodeId: string) => (nodeId === 'in' ? aWorker({ nodeId }) : undefined);
  expect(bannedNames(bans, workerOf, CERTIFICATE_LIFE_MS)).toEqual(['a', 'b']);
});

test('of more banned names than a server takes the latest are written, whose certificates live longest', () => {
  const bans = Array.from({ length: 10_002 }, (_, index) => ({
    subject: 'node_id' as const,
    value: `worker-${index}`,
    reason: 'slashed',
    sinceMs: 10_002 - index,
    recordId: undefined,
  }));
  const { names, leftOut } = namesForServers(bannedNames(bans, () => undefined, 10_002));
  expect([names.length, leftOut, names.at(-1)]).toEqual([10_000, 2, 'worker-0']);
  expect(names).not.toContain('worker-10001');
});

describe('a gateway with an authorizer', () => {
  const program = {
    file: join(import.meta.dirname, '../authorizer/authorizer-program.fixture.ts'),
    args: [],
  };

  async function start(
    mode: 'observe' | 'enforce',
    vouched: ReadonlySet<string>,
    ...nodes: readonly string[]
  ): Promise<World> {
    const world = await World.create();
    for (const name of nodes) world.kubernetes.addNode(name);
    const serverCertificates = join(world.directory, 'server-certificates.json');
    world.config = {
      ...world.config,
      authorizer: { mode, port: 0, impersonators: [], ordinaryAgents: false, serverCertificates },
    };
    world.options = { authorizerProgram: program, vouches: vouchesFor(vouched) };
    await writeFile(serverCertificates, JSON.stringify(['5'.repeat(64)]));
    await world.startGateway();
    return world;
  }

  const check = async (world: World) =>
    (await world.gateway?.health())?.find(({ name }) => name === 'authorizer');

  /** The process is a real one: what it tells comes in its own time. */
  async function until(world: World, isDone: () => Promise<boolean>): Promise<void> {
    for (let left = 400; left > 0; left -= 1) {
      if (await isDone()) return;
      await sleep(20);
      await world.pass(1_000);
    }
    throw new Error('it did not come');
  }

  async function ask(world: World, nodeId: string, shown = fingerprint): Promise<string> {
    const file = (name: string) => readFile(join(world.config.stateDir, 'authorizer', name), 'utf8');
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: world.gateway?.authorizerPort(),
        method: 'POST',
        ca: await file('webhook.crt'),
        cert: await file('api-server.crt'),
        key: await file('api-server.key'),
        agent: false,
      },
      (incoming) => {
        text(incoming).then((body) => resolve(body), reject);
      },
    );
    outgoing.once('error', reject);
    const extra = { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${shown}`] };
    outgoing.end(
      JSON.stringify({
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: `system:node:${nodeId}`, groups: ['system:nodes'], extra },
      }),
    );
    return promise;
  }

  test('a slash is refused at the webhook, and written for the servers, as soon as it is decided', async () => {
    await using world = await start('enforce', new Set(['worker-1']));
    await until(world, async () => world.gateway?.authorizerPort() !== undefined);
    const worker = await world.member('worker-1');
    await until(world, async () => (await check(world))?.detail === 'enforces');
    expect(await ask(world, 'worker-1')).toContain('"allowed":false}');
    world.chain.slash(worker.recordId);
    await settled(60);
    await until(world, async () => (await ask(world, 'worker-1')).includes('k3s-daas/node-out worker-1'));
    const banned = join(world.config.stateDir, 'authorizer', 'banned.json');
    const isWritten = async () =>
      (await readFile(banned, 'utf8').catch(() => '')) === '{"names":["worker-1"]}\n';
    await until(world, isWritten);
    // The helpers of the servers would wait for it.
    await rm(banned);
    await until(world, isWritten);
  }, 60_000);

  test('does not enforce before every Ready Node is vouched for, says which is not, and does not fall back later', async () => {
    const vouched = new Set<string>();
    await using world = await start('enforce', vouched, 'worker-1');
    await until(world, async () => (await check(world))?.detail.includes('worker-1') === true);
    expect((await check(world))?.isOk).toBe(false);
    expect(await ask(world, 'worker-1')).toContain('"allowed":false}');
    vouched.add('worker-1');
    await until(world, async () => (await check(world))?.detail === 'enforces');

    await world.member('worker-2', { staker: staker(2) });
    await world.restartGateway();
    await until(world, async () => (await check(world))?.detail === 'enforces');
    expect((await world.audit()).filter(({ event }) => event === 'authorizer.mode')).toHaveLength(1);
  }, 60_000);

  test('knows no certificate of a reserved name without a Node, and every one of a Node of the operator’s', async () => {
    await using world = await start('enforce', new Set(), 'server');
    for (const [name, listing] of Object.entries({ server: 'ordinary', deleted: 'reserved' }))
      world.kubernetes.names.set(name, listing);
    await until(world, async () => (await check(world))?.detail === 'enforces');
    await until(world, async () => (await ask(world, 'server')).includes('"allowed":false}'));
    await until(world, async () => (await ask(world, 'deleted')).includes('k3s-daas/not-vouched deleted'));
    world.kubernetes.addNode('deleted');
    await until(world, async () => (await ask(world, 'deleted')).includes('"allowed":false}'));
  }, 60_000);

  test('a node of the operator’s does not wait for the next pass over all names: the one that is refused is read', async () => {
    await using world = await start('enforce', new Set(), 'server');
    world.kubernetes.names.set('server', 'ordinary');
    await until(world, async () => (await check(world))?.detail === 'enforces');
    // No pass finds it.
    const { kubernetes } = world;
    kubernetes.admittedNames = async () => new Map([['server', 'ordinary']]);
    await until(world, async () => (await ask(world, 'opened')).includes('k3s-daas/not-vouched opened'));
    kubernetes.names.set('opened', 'expected');
    await until(world, async () => (await ask(world, 'opened')).includes('"allowed":false}'));
  }, 60_000);

  test('bans are written for the servers also while the API server does not answer for a name that somebody has refused', async () => {
    await using world = await start('enforce', new Set(['worker-1']));
    const worker = await world.member('worker-1');
    await until(world, async () => (await check(world))?.detail === 'enforces');
    let asked = 0;
    const { promise: answer, resolve: release } = Promise.withResolvers<void>();
    world.kubernetes.before = async (method) => {
      if (method !== 'admittedName') return;
      asked += 1;
      await answer;
    };
    await until(world, async () => {
      await ask(world, 'stranger', 'b'.repeat(64));
      return asked > 0;
    });
    world.chain.slash(worker.recordId);
    const banned = join(world.config.stateDir, 'authorizer', 'banned.json');
    await until(
      world,
      async () => (await readFile(banned, 'utf8').catch(() => '')) === '{"names":["worker-1"]}\n',
    );
    release();
  }, 60_000);

  test('in observe refuses nothing, and writes down what it would refuse', async () => {
    await using world = await start('observe', new Set());
    await until(world, async () => (await check(world))?.detail === 'observes');
    // The time in which a node may still show its certificates.
    await world.pass(31_000);
    expect(await ask(world, 'stranger')).toContain('"allowed":false}');
    await until(world, async () =>
      (await world.audit()).some(
        ({ event, code, subject }) =>
          event === 'access.would_be_refused' && code === 'not-vouched' && subject === 'stranger',
      ),
    );
  }, 60_000);
});
