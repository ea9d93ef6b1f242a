import { describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import { type PortMethod, settled } from '#testing';
import { World } from './world.fixture.ts';

/** Calls that hang until the test is over. */
class Hanging implements Disposable {
  readonly #grave = Promise.withResolvers<never>();
  constructor() {
    this.#grave.promise.catch(() => undefined);
  }
  readonly call = (): Promise<never> => this.#grave.promise;
  [Symbol.dispose](): void {
    this.#grave.reject(unavailable());
  }
}
const unavailable = () =>
  new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'the API server is away', { isRetryable: true });
const stop = [{ kind: 'stop', reason: 'slashed' }];

/** Until its deadline a call that hangs is one that fails: what is asked here is what happens to the others. */
function failAt(world: World, failing: PortMethod): void {
  world.kubernetes.before = (method) => {
    if (method === failing) throw unavailable();
  };
}

describe('a lock-out does not wait for', () => {
  test('the API server: while it hangs the host is told to stop', async () => {
    await using world = await World.start();
    using hanging = new Hanging();
    const worker = await world.member('worker-1');
    world.kubernetes.before = hanging.call;
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect((await worker.heartbeat()).directives).toEqual(stop);
  });

  test('the API server: while it hangs the operator evicts a node on which nothing is underway', async () => {
    await using world = await World.start();
    using hanging = new Hanging();
    const worker = await world.member('worker-1');
    world.kubernetes.before = hanging.call;
    expect(await world.operator('/v1/evict', { node_id: 'worker-1' })).toMatchObject({ done: true });
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'evicted' }]);
  });

  test('the end of an admission of the same node, nor for the pause after its failure', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const expiry = Promise.withResolvers<void>();
    world.kubernetes.before = (method) => (method === 'removeName' ? expiry.promise : undefined);
    world.kubernetes.removeNode('worker-1');
    await settled(60);
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expiry.reject(unavailable());
    world.kubernetes.before = undefined;
    await settled(60);
    expect((await worker.heartbeat()).directives).toEqual(stop);
  });

  test.each([
    ['joinCredentials', ['removeName', 'cordonAndTaint', 'removePods', 'deleteNode']],
    ['node', ['removeName', 'cordonAndTaint', 'removePods', 'deleteNode']],
    ['cordonAndTaint', ['removeName', 'removePods', 'deleteNode']],
    ['removePods', ['removeName', 'cordonAndTaint', 'deleteNode']],
    // Its Node is not deleted while its name is open, but nothing runs there any more.
    ['admittedName', ['cordonAndTaint', 'removePods']],
    ['removeName', ['cordonAndTaint', 'removePods']],
  ] as const)('%s, which fails for good: the other steps are taken', async (failing, expected) => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.calls.length = 0;
    failAt(world, failing);
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.kubernetes.calls.slice(0, expected.length)).toEqual(
      expected.map((method) => `${method} worker-1`),
    );
    world.kubernetes.before = undefined;
    await world.pass(5_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
  });

  test('the listing of its own name, which fails for good', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.relistName = () => Promise.reject(unavailable());
    world.kubernetes.removeNode('worker-1');
    world.kubernetes.addNode('worker-1', { stakeRecordId: worker.recordId });
    await settled(60);
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
  });

  test('other evictions that hang', async () => {
    await using world = await World.start();
    using hanging = new Hanging();
    const others = Array.from({ length: 9 }, (_, index) => `other-${index}`);
    for (const nodeId of others) await world.member(nodeId);
    const worker = await world.member('worker-1', { staker: `0x${'52'.repeat(32)}` });
    world.kubernetes.before = (method, nodeId) =>
      method === 'removePods' && nodeId !== 'worker-1' ? hanging.call() : undefined;
    for (const nodeId of others) await world.operator('/v1/evict', { node_id: nodeId });
    await settled(60);
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.has('other-0')).toBe(true);
  }, 60_000);

  test('the epoch, when the chain does not tell it', async () => {
    await using world = await World.start();
    using hanging = new Hanging();
    const worker = await world.member('worker-1');
    await world.pass(31_000);
    world.chain.point = hanging.call;
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });

  test('what the chain does not tell of others', async () => {
    await using world = await World.start();
    using hanging = new Hanging();
    const worker = await world.member('worker-1');
    const other = await world.member('worker-2', { staker: `0x${'52'.repeat(32)}` });
    const records = world.chain.records.bind(world.chain);
    world.chain.records = (ids) => (ids.includes(other.recordId) ? hanging.call() : records(ids));
    world.chain.report({ critical: [other.recordId] });
    await settled();
    world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(2_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });
});
