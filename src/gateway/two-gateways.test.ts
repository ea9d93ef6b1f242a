import { afterEach, beforeEach, expect, test } from 'vitest';
import { fingerprintOf, newClientCa } from './client-ca.fixture.ts';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { World } from './world.fixture.ts';

/** Two gateways of one cluster, each with a state of its own, and workers that turn from one to the other. */
const ca = await newClientCa();
let first: World;
let second: World;
let worker: FakeWorker;
let certificates: readonly string[];
beforeEach(async () => {
  first = await World.start();
  first.kubernetes.clientCa = ca.certificate;
  worker = await first.member('worker-1');
  certificates = await ca.agent('worker-1');
  await worker.show(certificates);
  await first.pass(1_000);
  await worker.heartbeat();
  second = await World.beside(first);
  await second.pass(1_000);
});
afterEach(async () => {
  await second[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
});

const writes = ([pem = '']: readonly string[] = certificates) =>
  first.kubernetes.mayWriteAs('worker-1', fingerprintOf(pem));
const vouched = ([pem = '']: readonly string[]) =>
  (first.kubernetes.admitted.get('worker-1')?.vouches ?? []).some(
    ({ fingerprint }) => fingerprint === fingerprintOf(pem),
  );

async function turnTo(gateway: World): Promise<void> {
  worker.gateway = gateway;
  expect((await worker.register()).join).toBeUndefined();
}

test('a worker turns to the second: no new Node, no join credential, and its kubelet may write at every moment', async () => {
  const uid = first.kubernetes.node('worker-1');
  first.kill();
  await turnTo(second);
  // The second knows no certificate yet: what the first has listed counts until the host shows its own here.
  expect(writes()).toBe(true);
  expect(vouched(certificates)).toBe(true);
  await worker.show(certificates);
  expect(vouched(certificates)).toBe(true);
  expect(writes()).toBe(true);
  expect((await worker.heartbeat()).directives).toEqual([]);
  expect(await first.kubernetes.node('worker-1')).toEqual(await uid);
});

test('the first comes back and undoes nothing, and the worker may turn to it again: its newer certificates count', async () => {
  first.kill();
  await turnTo(second);
  const renewed = await ca.agent('worker-1');
  await worker.show(renewed);
  await second.pass(1_000);
  await worker.heartbeat();
  await first.startGateway();
  await second.pass(60_000);
  expect(vouched(renewed)).toBe(true);
  expect(first.kubernetes.has('worker-1')).toBe(true);
  await turnTo(first);
  expect(vouched(renewed)).toBe(true);
  await worker.show(renewed);
  expect(vouched(renewed)).toBe(true);
  expect((await worker.heartbeat()).directives).toEqual([]);
});

test('a heartbeat for one is no proof for the other, and its sequence begins anew', async () => {
  await turnTo(second);
  expect((await worker.heartbeat({ sequence: 1 })).directives).toEqual([]);
  await expect(worker.heartbeat({ sequence: 1 })).rejects.toMatchObject({
    details: expect.objectContaining({ reason: 'seal_token_invalid' }),
  });
  worker.gateway = first;
  // The registration with the first is still its current one there.
  expect((await worker.heartbeat({ incarnation: 1, sequence: 100 })).directives).toEqual([]);
});

test('a slash is carried out by both, also by the one that the worker has turned away from', async () => {
  await turnTo(second);
  await worker.show(certificates);
  first.chain.slash(worker.recordId);
  await first.pass(5_000);
  expect(first.kubernetes.has('worker-1')).toBe(false);
  expect(first.kubernetes.admitted.has('worker-1')).toBe(false);
  for (const gateway of [first, second]) {
    worker.gateway = gateway;
    expect((await worker.heartbeat({ incarnation: 1, sequence: 1_000 })).directives).toContainEqual({
      kind: 'stop',
      reason: 'slashed',
    });
  }
});
