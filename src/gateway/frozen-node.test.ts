import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Machine } from '#seal';
import { fingerprintOf, newClientCa } from './client-ca.fixture.ts';
import { FakeWorker } from './fake-worker.fixture.ts';
import { World } from './world.fixture.ts';

const intervalMs = 10_000;
const ca = await newClientCa();
const machine: Machine = { machineId: 'machine-a', bootId: 'boot-a', runId: 'run-a' };
const refusedWith = (code: string) => ({ code: `DAAS_GATEWAY_${code}` });

let world: World;
let node: FakeWorker;
let thief: FakeWorker;
beforeEach(async () => {
  world = await World.start();
  world.kubernetes.clientCa = ca.certificate;
  node = world.worker('worker-1');
  node.machine = machine;
  node.stake();
  await node.register();
  await node.join();
  node.kubelet = await ca.agentWithKey('worker-1');
  await node.show(node.kubelet.certificates);
  world.kubernetes.updateNode('worker-1', { bootId: 'boot-a' });
  await world.pass(1_000);
  await node.heartbeat();
  // It says what it likes; here, that it is the machine itself. It has the node key, and no key of the kubelet.
  thief = twin({ ...machine, runId: 'run-thief' });
  await thief.register();
  await world.pass(intervalMs);
  await expectServed(node);
});
afterEach(() => world[Symbol.asyncDispose]());

function twin(at: Machine): FakeWorker {
  const other = new FakeWorker(world, node.nodeId, node.staker, node.key);
  other.tokenId = node.tokenId;
  other.password = node.password;
  other.machine = at;
  return other;
}

async function expectServed(worker: FakeWorker): Promise<void> {
  expect((await worker.heartbeat()).directives).toEqual([{ kind: 'notice', reason: 'node_cloned' }]);
}

/** The same machine after a reboot, with what is on its disk. */
function rebooted(bootId = 'boot-c', runId = 'run-c'): FakeWorker {
  const host = twin({ ...machine, bootId, runId });
  host.kubelet = node.kubelet;
  return host;
}

describe('a host whose registration the kubelet’s key has signed, while two use the node key', () => {
  test('after a reboot it is served at once, shows its new certificates, and is never refused; the thief gets nothing', async () => {
    const host = rebooted();
    // The Node is still Ready with the boot before.
    await host.register();
    await expectServed(host);
    // k3s has written new certificates, with which the kubelet may write only once they count.
    const renewed = await ca.agentWithKey('worker-1');
    await host.show(renewed.certificates);
    const vouches = [...world.kubernetes.admitted.values()].flatMap(({ vouches: known = [] }) => known);
    expect(vouches.map(({ fingerprint }) => fingerprint)).toContain(
      fingerprintOf(renewed.certificates[0] ?? ''),
    );
    world.kubernetes.updateNode('worker-1', { bootId: 'boot-c' });
    await world.pass(1_000);
    await expectServed(host);
    await expect(thief.heartbeat()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    // The next reboot, on the certificates that were shown last.
    node.kubelet = renewed;
    await rebooted('boot-d', 'run-d').register();
  });

  test('its kubelet was not heard for long: it gets a join credential, which the node key alone does not', async () => {
    world.kubernetes.silenceKubelet('worker-1');
    await world.pass(60_000);
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    const host = rebooted();
    expect((await host.registerInTime()).join).toBeDefined();
    await expectServed(host);
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  });

  test('it is not slowed down by a thief that registers as often as it can', async () => {
    const codes = new Set<unknown>();
    while (!codes.has('DAAS_GATEWAY_RATE_LIMITED'))
      await thief.register().catch(({ code }: { code: unknown }) => codes.add(code));
    await rebooted().register();
  });

  test('the freeze outlives the gateway, and who was served with it', async () => {
    const host = rebooted();
    await host.register();
    await world.restartGateway();
    await world.pass(1_000);
    await expectServed(host);
    // The Node still says the boot before, as the thief does.
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  });

  test('a thief that is served while the machine reboots, because it names the boot of the Node, is out when the host is back', async () => {
    await world.pass(3 * intervalMs + 1_000);
    thief.machine = { ...machine, runId: 'run-patient' };
    await thief.register();
    await expectServed(thief);
    const host = rebooted();
    await host.register();
    await expectServed(host);
    await expect(thief.heartbeat()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  });

  test('a copy of the whole disk on another machine is refused while the Node runs where it ran', async () => {
    const copy = rebooted();
    copy.machine = { machineId: 'machine-x', bootId: 'boot-x', runId: 'run-x' };
    await expect(copy.register()).rejects.toMatchObject(refusedWith('NODE_IN_USE'));
    await world.pass(intervalMs);
    await expectServed(node);
    await expect(copy.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  });

  test('of two copies of a whole disk that say the same machine, the Ready Node decides', async () => {
    const copy = rebooted('boot-x', 'run-x');
    await copy.register();
    // The agent of the first is Ready: its host lives on, and registers again.
    await expect(node.heartbeat()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    await node.register();
    await expectServed(node);
    await expect(copy.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    await expectServed(node);
  });
});

describe('a thief of the node key', () => {
  test('gains nothing by a kubelet certificate without its key, or by a key that no stake vouches for', async () => {
    world.kubernetes.silenceKubelet('worker-1');
    await world.pass(60_000);
    const own = await ca.agentWithKey('worker-1');
    const stranger = await ca.agentWithKey('worker-2');
    const certificates = node.kubelet?.certificates ?? [];
    for (const kubelet of [own, stranger, { certificates, key: own.key }]) {
      thief.kubelet = kubelet;
      await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    }
  });

  test('says nothing about which certificates count', async () => {
    const own = await ca.agentWithKey('worker-1');
    await expect(thief.show(own.certificates)).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    await node.show(own.certificates);
  });
});
