import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultSettings, operations } from '#chain';
import { until } from './kubernetes.ts';
import type { KnownGateway } from './outsider.ts';
import type { Program } from './program.ts';
import { tokenOf } from './thief.ts';
import { SUI, type Worker, World } from './world.ts';

/** Worlds in which a worker's token and stake live fast: what the tests of a worker's life share. */

const DAY_MS = 86_400_000;

export interface FastWorld {
  readonly world: World;
  /** As an outsider knows it. */
  readonly gateway: KnownGateway;
}

/** A token is due after one epoch, and the gateway lets one node register often. */
export async function startFastWorld(): Promise<FastWorld> {
  const world = await World.start({
    heartbeatIntervalMs: 300,
    gateway: { limits: { tokenRate: 50, tokenBurst: 200 } },
    // An epoch costs everybody the proof of its committee: a life of two is the shortest that ends.
    cluster: { maximumTokenEpochs: 2n },
  });
  const ca = await readFile(world.gatewayCaFile, 'utf8');
  return { world, gateway: { url: world.gatewayUrl, id: world.gatewayId, ca } };
}

/** Plugins of a host that looks at its token five times a second, and does what the gateway asks for, up to two SUI. */
export const fastPlugins = [
  {
    use: 'staking',
    config: {
      rotation: { checkMs: 200 },
      directives: { rotations: 100, topUpMist: (2n * SUI).toString() },
    },
  },
  { use: 'registration' },
  { use: 'heartbeat' },
  { use: 'slashing', config: { intervalMs: 300 } },
];

/** Ends an epoch, with which the token is due, and waits until the host lives on its successor, which is returned. */
export async function rotated(world: World, host: Program, withinMs?: number): Promise<string> {
  const from = host.lines.length;
  world.chain.devnet.advanceEpoch();
  const { tokenId } = await host.event('node.key.changed', {
    from,
    ...(withinMs !== undefined && { withinMs }),
  });
  return String(tokenId);
}

/** Announces a minimum of three SUI, one more than the workers stake. */
export async function announceMinimum(world: World): Promise<void> {
  const { client, actor } = world.chain;
  const { parameters } = await client.cluster();
  await operations.scheduleParameters.execute(
    { client, wallet: actor.wallet },
    {
      ...defaultSettings(actor.wallet.address),
      slashers: world.slashers.map(({ address }) => address),
      slashThreshold: 2n,
      maximumTokenEpochs: parameters.longestTokenLifeEpochs,
      minimumStakeMist: 3n * SUI,
    },
  );
}

/** What was announced is in force. */
export function minimumInForce(world: World): void {
  world.chain.devnet.advanceClock(9 * DAY_MS);
}

/** Resolves when the live stake of the node is three SUI. */
export async function toppedUp(world: World, nodeId: string, withinMs: number): Promise<void> {
  const { client } = world.chain;
  await until(
    'the top-up',
    async () => {
      const { recordId } = await tokenOf(world, nodeId);
      return (await client.records([recordId])).get(recordId)?.stakeMist === 3n * SUI ? true : undefined;
    },
    { withinMs },
  );
}

/** The operator rotates the token to a new key, in the file where the host looks for its next one. */
export async function rotateToNewKey(world: World, worker: Worker, journal: string) {
  const { wallet } = JSON.parse(await readFile(worker.configFile, 'utf8'));
  const words = `token rotate --node-id ${worker.nodeId} --yes --json --endpoint ${world.chain.url}`.split(
    ' ',
  );
  return world.command(
    ...words,
    '--new-key-file',
    join(worker.stateDir, 'node.key.next'),
    '--key-file',
    wallet.keyFile,
    '--journal',
    journal,
    '--deployment',
    world.deploymentFile,
  );
}
