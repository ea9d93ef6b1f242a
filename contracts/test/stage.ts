// A dev chain with our package on it and its time in hand: where shared scenarios are played.
import { readFileSync } from 'node:fs';
import { startDevnet } from '@k3s-daas/devnet';
import { SuiGrpcClient } from '@mysten/sui/grpc';
import { Transaction } from '@mysten/sui/transactions';
import type { Clock } from '#base';
import { BUILD_FILE } from './move.ts';
import { actorKey } from './scenario.ts';
import type { Stage } from './scenario-player.ts';

/** Starts a fresh chain whose clock stands at 0, and publishes the committed build to it. */
export async function openStage(): Promise<Stage & AsyncDisposable> {
  // A clock that stands still: time is what the scenario says.
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    sleep: () => Promise.reject(new Error('nobody sleeps on this clock')),
  };
  const devnet = await startDevnet({ clock, checkpointIntervalMs: 0 });
  const client = new SuiGrpcClient({ network: 'scenario', baseUrl: devnet.url, format: 'binary' });
  const publisher = actorKey('publisher');
  await devnet.faucet(publisher.toSuiAddress());
  let nowMs = 0;
  let epoch = 0;
  return {
    client,
    packageId: await publish(),
    async setTime(time) {
      devnet.advanceClock(Math.max(0, time.atMs - nowMs));
      nowMs = Math.max(nowMs, time.atMs);
      for (; epoch < time.epoch; epoch += 1) devnet.advanceEpoch();
    },
    async fund(address, mist) {
      await devnet.faucet(address, mist);
    },
    [Symbol.asyncDispose]: () => devnet.close(),
  };

  async function publish(): Promise<string> {
    const build = JSON.parse(readFileSync(BUILD_FILE, 'utf8')) as {
      modules: Record<string, string>;
      dependencies: string[];
    };
    const transaction = new Transaction();
    const cap = transaction.publish({
      modules: Object.values(build.modules),
      dependencies: build.dependencies,
    });
    transaction.transferObjects([cap], publisher.toSuiAddress());
    const executed = await client.signAndExecuteTransaction({
      transaction,
      signer: publisher,
      include: { effects: true, objectTypes: true },
    });
    if (executed.$kind === 'FailedTransaction')
      throw new Error(executed.FailedTransaction.status.error?.message);
    await client.waitForTransaction({ digest: executed.Transaction.digest });
    const published = executed.Transaction.effects?.changedObjects.find(
      ({ outputState }) => outputState === 'PackageWrite',
    );
    if (!published) throw new Error('the publish transaction made no package');
    return published.objectId;
  }
}
