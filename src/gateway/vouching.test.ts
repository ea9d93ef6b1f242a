import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { type ClientCa, fingerprintOf, newClientCa } from './client-ca.fixture.ts';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { unavailable } from './members.fixture.ts';
import { World } from './world.fixture.ts';

const ca: ClientCa = await newClientCa();

async function newWorld(): Promise<World> {
  const world = await World.start();
  world.kubernetes.clientCa = ca.certificate;
  return world;
}
const agentOf = (worker: FakeWorker) => ca.agent(worker.nodeId);
const refused = (reason: string) => ({ details: expect.objectContaining({ reason }) });
/** What the cluster lets the holder of this certificate do under the name. */
const makesNode = (world: World, nodeId: string, pem = '') =>
  world.kubernetes.createNodeAs(nodeId, fingerprintOf(pem)) !== 403;
const writes = (world: World, nodeId: string, pem = '') =>
  world.kubernetes.mayWriteAs(nodeId, fingerprintOf(pem));

describe('a certificate counts once it was shown', () => {
  test('a first join: nothing before, everything after, in two writes of the name', async () => {
    await using world = await newWorld();
    const worker = world.worker('worker-1').stake();
    await worker.register();
    const pems = await agentOf(worker);
    expect(makesNode(world, 'worker-1', pems[0])).toBe(false);
    expect(await worker.show(pems)).toEqual({
      identities: ['kubelet', 'kube-proxy', 'k3s-controller'],
      isInForce: true,
    });
    expect(world.kubernetes.calls.filter((call) => call.startsWith('admitName'))).toHaveLength(2);
    expect(makesNode(world, 'worker-1', pems[0])).toBe(true);
    const audit = await world.audit();
    expect(audit.find(({ event }) => event === 'certificates.vouched')).toMatchObject({
      node_id: 'worker-1',
      fingerprints: expect.stringContaining(`kubelet=${fingerprintOf(pems[0])}`),
    });
  });

  test('after a restart both sets count until the Node is Ready on the newer one; shown again, nothing changes', async () => {
    await using world = await newWorld();
    const worker = await world.member('worker-1');
    const [before, after, third] = [await agentOf(worker), await agentOf(worker), await agentOf(worker)];
    await worker.show(before);
    await world.clock.advance(1_000);
    await worker.heartbeat();
    await worker.show(after);
    expect([before, after].map(([pem]) => vouched(world, pem))).toEqual([true, true]);
    // It crashed before it was Ready, and starts anew.
    await worker.show(third);
    expect([before, after, third].map(([pem]) => vouched(world, pem))).toEqual([true, false, true]);
    await world.clock.advance(1_000);
    await worker.heartbeat({ agentState: 'starting' });
    expect(vouched(world, before[0])).toBe(true);
    await worker.heartbeat();
    expect([before, after, third].map(([pem]) => vouched(world, pem))).toEqual([false, false, true]);
    const calls = world.kubernetes.calls.length;
    await worker.show(third);
    expect(world.kubernetes.calls).toHaveLength(calls);
  });

  test('it is refused to another node, to a name that is not admitted, and to who has not the node’s key', async () => {
    await using world = await newWorld();
    const [one, two] = [await world.member('worker-1'), await world.member('worker-2')];
    const pems = await agentOf(one);
    await one.show(pems);
    await expect(two.show([pems[1] ?? ''])).rejects.toMatchObject(refused('certificate_refused'));
    await expect(two.show([pems[0] ?? ''])).rejects.toMatchObject(refused('certificate_refused'));
    await expect(one.show([pems[1] ?? '', pems[1] ?? ''])).rejects.toMatchObject(
      refused('certificate_refused'),
    );
    const thief = world.worker('worker-1', { staker: one.staker });
    thief.tokenId = one.tokenId;
    await expect(thief.show(pems)).rejects.toMatchObject(refused('seal_token_invalid'));
    // One that has the key, on a machine of its own.
    one.machine = { machineId: 'machine-a', bootId: 'boot-a', runId: 'run-a' };
    await one.register();
    const copy = world.worker('worker-1', { staker: one.staker, key: one.key });
    Object.assign(copy, {
      tokenId: one.tokenId,
      machine: { machineId: 'machine-b', bootId: 'boot-b', runId: 'run-b' },
    });
    await expect(copy.show(await agentOf(one))).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NODE_IN_USE' });
    copy.machine = undefined;
    await expect(copy.show(await agentOf(one))).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NODE_IN_USE' });
    expect(vouched(world, pems[0])).toBe(true);
    const nobody = world.worker('worker-9').stake();
    await expect(nobody.show(await agentOf(nobody))).rejects.toMatchObject(refused('seal_token_invalid'));
    await world.operator('/v1/evict', { node_id: 'worker-1', lock: false });
    await settled();
    await expect(one.show(pems)).rejects.toMatchObject(refused('name_taken'));
  });

  test('while the cluster is away it is written down, and told to the cluster when that is back', async () => {
    await using world = await newWorld();
    const worker = await world.member('worker-1');
    await worker.show(await agentOf(worker));
    const pems = await agentOf(worker);
    world.kubernetes.before = (method) => {
      if (method === 'admitName') throw unavailable();
    };
    expect(await worker.show(pems)).toMatchObject({ isInForce: false });
    expect(vouched(world, pems[0])).toBe(false);
    world.kill();
    world.kubernetes.before = undefined;
    await world.startGateway();
    await world.pass(3_000);
    expect(vouched(world, pems[0])).toBe(true);
  });

  test('it ends with the membership: by slash, eviction and leave, and never because the worker is silent', async () => {
    await using world = await newWorld();
    const [slashed, evicted, silent] = [
      await world.member('worker-1', { staker: `0x${'61'.repeat(32)}` }),
      await world.member('worker-2', { staker: `0x${'62'.repeat(32)}` }),
      await world.member('worker-3', { staker: `0x${'63'.repeat(32)}` }),
    ];
    const pems = new Map<FakeWorker, string>();
    for (const worker of [slashed, evicted, silent]) {
      const set = await agentOf(worker);
      await worker.show(set);
      pems.set(worker, set[0]);
    }
    world.chain.slash(slashed.recordId);
    await world.pass(2_000);
    await world.operator('/v1/evict', { node_id: 'worker-2', lock: false });
    await world.pass(120_000);
    for (const worker of [slashed, evicted]) {
      expect(makesNode(world, worker.nodeId, pems.get(worker))).toBe(false);
      expect(writes(world, worker.nodeId, pems.get(worker))).toBe(false);
    }
    expect(vouched(world, pems.get(silent))).toBe(true);
    await world.restartGateway();
    await world.pass(61_000);
    expect(vouched(world, pems.get(silent))).toBe(true);
  });

  function vouched(world: World, pem = ''): boolean {
    const fingerprint = fingerprintOf(pem);
    return [...world.kubernetes.admitted.values()].some(({ vouches = [] }) =>
      vouches.some((vouch) => vouch.fingerprint === fingerprint),
    );
  }
});

describe('a name is contested', () => {
  test('after another holder, also with the same wallet and a new stake: its certificate does nothing', async () => {
    await using world = await newWorld();
    const first = await world.member('worker-1');
    const old = await agentOf(first);
    await first.show(old);
    world.chain.change(first.recordId, { status: 'unbonding' });
    await world.pass(2_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    const next = world.worker('worker-1', { staker: first.staker, key: first.key }).stake();
    await world.pass(3_000);
    await next.register();
    expect(makesNode(world, 'worker-1', old[0])).toBe(false);
    const pems = await agentOf(next);
    await next.show(pems);
    expect(makesNode(world, 'worker-1', old[0])).toBe(false);
    expect(makesNode(world, 'worker-1', pems[0])).toBe(true);
    expect([old, pems].map(([pem]) => writes(world, 'worker-1', pem))).toEqual([false, true]);
  });

  test('not for its first holder: a worker that starts anew while the gateway is away writes with its new certificate', async () => {
    await using world = await newWorld();
    const worker = await world.member('worker-1');
    await worker.show(await agentOf(worker));
    await world.stopGateway();
    const [pem] = await agentOf(worker);
    expect(writes(world, 'worker-1', pem)).toBe(true);
    expect(makesNode(world, 'worker-1', pem)).toBe(false);
  });
});

test('before Kubernetes 1.32 a name stays with its last staker and key, and the operator’s release frees it', async () => {
  await using world = await newWorld();
  world.kubernetes.hasFingerprints = false;
  const first = await world.member('worker-1', { staker: `0x${'61'.repeat(32)}` });
  world.chain.change(first.recordId, { status: 'unbonding' });
  await world.pass(2_000);
  const next = world.worker('worker-1', { staker: `0x${'62'.repeat(32)}` }).stake();
  await world.pass(3_000);
  await expect(next.register()).rejects.toMatchObject(refused('name_taken'));
  await world.operator('/v1/release', { node_id: 'worker-1' });
  await settled();
  expect(await next.register()).toMatchObject({ join: expect.anything() });
});
