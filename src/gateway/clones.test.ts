import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Machine } from '#seal';
import { FakeWorker, newKey } from './fake-worker.fixture.ts';
import { joinedOn, twinOf } from './members.fixture.ts';
import { call, command } from './operator.fixture.ts';
import { OPERATOR_PATHS } from './operator-wire.ts';
import { World } from './world.fixture.ts';

const intervalMs = 10_000;
const original: Machine = { machineId: 'machine-a', bootId: 'boot-a', runId: 'run-a' };
const copy: Machine = { machineId: 'machine-b', bootId: 'boot-b', runId: 'run-b' };

let world: World;
let node: FakeWorker;
beforeEach(async () => {
  world = await World.start();
  node = await joinedOn(world, original);
  expect(await state()).toMatchObject({ status: 'member', cloned_since: null });
});
afterEach(() => world[Symbol.asyncDispose]());

const twin = (machine: Machine | undefined): FakeWorker => twinOf(world, node, machine);

const refusedWith = (code: string) => ({ code: `DAAS_GATEWAY_${code}` });
/** The node as the operator sees it. */
async function state(): Promise<Record<string, unknown>> {
  const { json } = await call(world, 'GET', OPERATOR_PATHS.nodes);
  return (json.nodes as ReadonlyArray<Record<string, unknown>>)[0] ?? {};
}
/** The boots of the one that is served and of the other, as the audit file has them. */
async function boots(): Promise<unknown> {
  const found = (await world.audit()).filter(({ event }) => event === 'node.cloned');
  return found.map(({ served_boot, other_boot }) => [served_boot, other_boot]);
}
const notice = { kind: 'notice', reason: 'node_cloned' };

async function expectServed(worker: FakeWorker): Promise<void> {
  expect((await worker.heartbeat()).directives).toEqual([notice]);
}

test('a copied state directory on another machine never registers while the Node is Ready elsewhere, and both are told within two heartbeats', async () => {
  const thief = twin(copy);
  await expect(thief.register()).rejects.toMatchObject({ ...refusedWith('NODE_IN_USE'), isRetryable: true });
  await world.pass(intervalMs);
  expect((await node.heartbeat()).directives).toEqual([]);
  await expect(thief.register()).rejects.toMatchObject({ ...refusedWith('NODE_CLONED'), exitCode: 77 });
  expect(await boots()).toEqual([['boot-a', 'boot-b']]);
  await expectServed(node);
});

test('a machine that replaces one that was switched off is admitted once its Node is silent', async () => {
  const successor = twin(copy);
  await expect(successor.register()).rejects.toMatchObject(refusedWith('NODE_IN_USE'));
  world.kubernetes.silenceKubelet('worker-1');
  await world.pass(41_000);
  expect((await successor.registerInTime()).join).toBeDefined();
  expect(await state()).toMatchObject({ cloned_since: null });
});

test('a restored snapshot, of another boot: the one whose boot the Ready Node has is served, the other is refused', async () => {
  const snapshot = twin({ ...original, bootId: 'boot-b', runId: 'run-b' });
  await snapshot.register();
  await world.pass(1_000);
  await expectServed(node);
  await expect(snapshot.heartbeat()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  await expect(snapshot.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  await expectServed(node);
});

test('a double start on one machine: the first process is served, the second refused', async () => {
  const second = twin({ ...original, runId: 'run-b' });
  await second.register();
  await world.pass(intervalMs);
  await expectServed(node);
  await expect(second.heartbeat()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
});

test('two processes that register in turn are found without a heartbeat', async () => {
  const second = twin({ ...original, runId: 'run-b' });
  await second.register();
  await node.register();
  expect(await boots()).toEqual([['boot-a', 'boot-a']]);
  await expect(second.register()).rejects.toMatchObject(refusedWith('NODE_IN_USE'));
  await world.pass(intervalMs);
  await expectServed(node);
  await expect(second.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
});

test('a host that restarts, or a machine that reboots, is no clone', async () => {
  const restarted = twin({ ...original, runId: 'run-b' });
  await restarted.register();
  await restarted.heartbeat();
  const rebooted = twin({ ...original, bootId: 'boot-b', runId: 'run-c' });
  await rebooted.register();
  await rebooted.heartbeat();
  expect(await state()).toMatchObject({ cloned_since: null });
});

test('a host that does not say where it runs is judged as before', async () => {
  const silent = twin(undefined);
  await silent.register();
  expect((await silent.heartbeat()).directives).toEqual([]);
  expect(await state()).toMatchObject({ cloned_since: null });
});

describe('a thief of the node key', () => {
  /** It says what it likes; here, that it is the machine itself. */
  async function frozen(machine: Machine = { ...original, runId: 'run-thief' }): Promise<FakeWorker> {
    const thief = twin(machine);
    await thief.register();
    await thief.heartbeat();
    await world.pass(intervalMs);
    await expectServed(node);
    return thief;
  }

  test('registers, heartbeats and waits for a reboot: the node is served before, and after it; the thief gets nothing', async () => {
    const thief = await frozen();
    // The machine reboots: the Node is still Ready with the boot before.
    const rebooted = twin({ ...original, bootId: 'boot-c', runId: 'run-c' });
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_IN_USE'));
    await expect(rebooted.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    world.kubernetes.silenceKubelet('worker-1');
    await world.pass(60_000);
    // No kubelet is heard: before clones were known, the key alone would have brought a join credential now.
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    // The kubelet of the node comes back on its certificate, and says which boot is its own.
    world.kubernetes.wakeKubelet('worker-1');
    world.kubernetes.updateNode('worker-1', { bootId: 'boot-c' });
    await world.pass(1_000);
    expect((await rebooted.register()).join).toBeUndefined();
    await expectServed(rebooted);
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    await expect(thief.heartbeat()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  });

  test('gains nothing by not saying where it is', async () => {
    const thief = twin(undefined);
    await thief.register();
    await world.pass(intervalMs);
    await expectServed(node);
    await expect(thief.heartbeat()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  });

  test('does not keep the host of the node from being restarted while registrations are frozen', async () => {
    await frozen();
    const restarted = twin({ ...original, runId: 'run-b' });
    await expect(restarted.register()).rejects.toMatchObject(refusedWith('NODE_IN_USE'));
    await world.pass(4 * intervalMs);
    await restarted.register();
    await expectServed(restarted);
  });

  test('is out when the token is rotated, and the freeze with it', async () => {
    const thief = await frozen();
    const next = newKey();
    const rotated = new FakeWorker(world, node.nodeId, node.staker, next);
    rotated.tokenId = world.chain.addToken(node.recordId, next.publicKey);
    rotated.password = node.password;
    rotated.machine = original;
    world.chain.report({ others: [node.recordId] });
    await world.pass(1_000);
    await rotated.register();
    expect(await state()).toMatchObject({ cloned_since: null });
    expect((await rotated.heartbeat()).directives).toEqual([]);
    await expect(thief.heartbeat()).rejects.toMatchObject(refusedWith('SEAL_TOKEN_INVALID'));
  });

  test('cannot forge a proof of an earlier registration that would stop the node', async () => {
    await node.register();
    const thief = twin({ machineId: 'machine-x', bootId: 'boot-x', runId: 'run-x' });
    await world.pass(intervalMs);
    await expect(thief.heartbeat({ incarnation: 1 })).rejects.toMatchObject(refusedWith('NODE_CLONED'));
    expect(await boots()).toEqual([['boot-a', 'boot-x']]);
    await expectServed(node);
  });

  test('does not outlive a restart of the gateway: the freeze is stored', async () => {
    const thief = await frozen();
    await world.restartGateway();
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_IN_USE'));
    await world.pass(1_000);
    await node.register();
    await expectServed(node);
    await expect(thief.register()).rejects.toMatchObject(refusedWith('NODE_CLONED'));
  });
});

test('the operator unlocks a frozen node', async () => {
  const second = twin({ ...original, runId: 'run-b' });
  await second.register();
  await world.pass(intervalMs);
  await expectServed(node);
  await command(world, OPERATOR_PATHS.unlock, { node_id: 'worker-1' });
  expect(await state()).toMatchObject({ cloned_since: null });
});

test('two hosts that register in turn are slowed down, whatever they say of themselves', async () => {
  await using fast = await World.start({
    limits: { tokenRate: 1_000, tokenBurst: 1_000, nodeRate: 0.1, nodeBurst: 3 },
  });
  const fighter = fast.worker('fighter').stake();
  // The first is that of a stranger; the token is known from then on.
  for (let count = 0; count < 4; count += 1) await fighter.register();
  await expect(fighter.register()).rejects.toMatchObject({
    ...refusedWith('RATE_LIMITED'),
    message: expect.stringContaining('registers too often'),
    details: expect.objectContaining({ retryAfterMs: expect.any(Number) }),
  });
  await fast.pass(10_000);
  await fighter.register();
});
