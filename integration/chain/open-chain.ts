import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { systemClock } from '#base';
import { type ChainClient, createChainClient, defaultSettings, operations } from '#chain';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

export let world: ChainWorld;
beforeAll(async () => {
  world = await startChainWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

export const holderKey = () => Uint8Array.from(randomBytes(32));
let nodes = 0;
export const nextNode = () => {
  nodes += 1;
  return `worker-${nodes}`;
};

export async function staked(stakeMist = 2n * SUI) {
  const wallet = await world.wallet();
  const chain = await world.stakeChain(wallet);
  const nodeId = nextNode();
  const { objectId: recordId, digest } = await chain.stakeForNode({ nodeId, stakeMist });
  return { wallet, chain, nodeId, recordId, digest };
}

/** Another cluster in the world's package, with these of its settings, and a client of it. */
export async function anotherCluster(
  changes: Partial<ReturnType<typeof defaultSettings>> = {},
): Promise<ChainClient> {
  const { clusterId } = await operations.createCluster.execute(world.publisher, {
    packageId: world.deployment.packageId,
    settings: { ...defaultSettings(world.operator.address), ...changes },
  });
  return createChainClient({
    endpoints: [world.url],
    deployment: { ...world.deployment, clusterId },
    clock: systemClock,
  });
}
