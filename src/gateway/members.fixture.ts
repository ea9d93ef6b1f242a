import { DaasError } from '#base';
import type { FakeWorker } from './fake-worker.fixture.ts';
import type { World } from './world.fixture.ts';

export const staker = (index: number) => `0x${(0x60 + index).toString(16).repeat(32)}`;

export async function members(world: World, count: number): Promise<FakeWorker[]> {
  const all: FakeWorker[] = [];
  for (let index = 1; index <= count; index += 1)
    all.push(await world.member(`worker-${index}`, { staker: staker(index) }));
  return all;
}

export const unavailable = () => new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'down', { isRetryable: true });
