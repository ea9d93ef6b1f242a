import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import type { Machine } from '#seal';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { joinedOn, twinOf } from './members.fixture.ts';
import { World } from './world.fixture.ts';

/** How many heartbeats pass until both hosts that use one node key are told of each other, whenever the second one starts. */
const intervalMs = 10_000;
/** How late a host asks again: its timer, the network and the gateway's own work. */
const latencyMs = 50;
/** A host registers again after so many refused heartbeats in a row; after the first it asks again this soon (plugins/heartbeat). */
const refusalsUntilRegistering = 2;
const refusedRestMs = 2_500;
const original: Machine = { machineId: 'machine-a', bootId: 'boot-a', runId: 'run-a' };

let world: World;
beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world[Symbol.asyncDispose]());

/** One of two hosts: it asks to be registered until it is, and heartbeats from then on, as the plugins of a host do. */
class Host {
  readonly worker: FakeWorker;
  nextAtMs: number;
  /** Heartbeats that it sent, and registrations that were refused: each tells it something. */
  asked = 0;
  isTold = false;
  #isRegistered: boolean;
  #refusals = 0;

  constructor(worker: FakeWorker, nextAtMs: number, isRegistered: boolean) {
    this.worker = worker;
    this.nextAtMs = nextAtMs;
    this.#isRegistered = isRegistered;
  }

  async act(): Promise<void> {
    const nowMs = world.clock.nowMs();
    try {
      if (this.#isRegistered) await this.#heartbeat();
      else await this.worker.register();
      if (this.#isRegistered) this.nextAtMs = nowMs + intervalMs;
      this.#isRegistered = true;
      this.#refusals = 0;
    } catch (error) {
      this.#judge(error, nowMs);
    }
  }

  async #heartbeat(): Promise<void> {
    this.asked += 1;
    const { directives } = await this.worker.heartbeat();
    this.isTold ||= directives.some(({ reason }) => reason === 'node_cloned');
  }

  #judge(error: unknown, nowMs: number): void {
    if (!(error instanceof DaasError)) throw error;
    const { retryAfterMs = intervalMs } = error.details as { retryAfterMs?: number };
    this.isTold ||= error.code === 'DAAS_GATEWAY_NODE_CLONED';
    this.#refusals += 1;
    if (!this.#isRegistered) {
      this.asked += 1;
      this.nextAtMs = nowMs + retryAfterMs + latencyMs;
      return;
    }
    this.nextAtMs = nowMs + (this.#refusals === 1 ? refusedRestMs : intervalMs);
    if (this.#refusals < refusalsUntilRegistering) return;
    this.#isRegistered = false;
    this.nextAtMs = nowMs + latencyMs;
  }
}

/** A node that has joined, and heartbeats. */
async function joined(): Promise<FakeWorker> {
  const node = await joinedOn(world, original);
  await node.heartbeat();
  return node;
}

/** Lets both live by turns until both are told. The second one starts so long before the next heartbeat of the first. */
async function untilBothAreTold(node: FakeWorker, machine: Machine, beforeMs: number) {
  await world.pass(intervalMs - beforeMs);
  const nowMs = world.clock.nowMs();
  const first = new Host(node, nowMs + beforeMs, true);
  const second = new Host(twinOf(world, node, machine), nowMs, false);
  for (let turns = 0; turns < 12 && !(first.isTold && second.isTold); turns += 1) {
    const next = second.nextAtMs <= first.nextAtMs ? second : first;
    await world.pass(next.nextAtMs - world.clock.nowMs());
    await next.act();
  }
  return { first, second };
}

describe.each([
  ['a copied state directory on another machine', { machineId: 'machine-b', bootId: 'boot-b' }],
  ['a restored snapshot: the machine id, in another boot', { machineId: 'machine-a', bootId: 'boot-b' }],
  ['a restored snapshot that got another machine id', { machineId: 'machine-c', bootId: 'boot-b' }],
  ['a double start on the same machine and boot', { machineId: 'machine-a', bootId: 'boot-a' }],
])('%s', (_name, where) => {
  test.each([1, 5_000, 9_999])(
    'is named to both hosts within two heartbeats of each, begun %i ms before a heartbeat of the first',
    async (beforeMs) => {
      const { first, second } = await untilBothAreTold(
        await joined(),
        { ...where, runId: 'run-b' },
        beforeMs,
      );
      expect(first).toMatchObject({ isTold: true });
      expect(second).toMatchObject({ isTold: true });
      expect(first.asked).toBeLessThanOrEqual(2);
      expect(second.asked).toBeLessThanOrEqual(2);
    },
  );
});
