import { DaasError } from '#base';
import type { Machine } from '#seal';
import { FakeWorker } from './fake-worker.fixture.ts';
import type { World } from './world.fixture.ts';

export const staker = (index: number) => `0x${(0x60 + index).toString(16).repeat(32)}`;

export async function members(world: World, count: number): Promise<FakeWorker[]> {
  const all: FakeWorker[] = [];
  for (let index = 1; index <= count; index += 1)
    all.push(await world.member(`worker-${index}`, { staker: staker(index) }));
  return all;
}

/** A worker on this machine that has joined, with its Node. */
export async function joinedOn(world: World, machine: Machine): Promise<FakeWorker> {
  const node = world.worker('worker-1');
  node.machine = machine;
  node.stake();
  await node.register();
  await node.join();
  world.kubernetes.updateNode('worker-1', { bootId: machine.bootId });
  await world.pass(1_000);
  return node;
}

/** Another host with the same key, as it is on another machine, or in another process. */
export function twinOf(world: World, node: FakeWorker, machine: Machine | undefined): FakeWorker {
  const twin = new FakeWorker(world, node.nodeId, node.staker, node.key);
  twin.tokenId = node.tokenId;
  twin.password = node.password;
  twin.machine = machine;
  return twin;
}

export const unavailable = () => new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'down', { isRetryable: true });
