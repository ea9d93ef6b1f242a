import { definePlugin, GatewayConnector, HostClock, HostControl, StakeChain } from 'k3s-daas/plugin';
import { z } from 'zod';
import { ChangeListener } from './change-listener.ts';
import { Looks } from './looks.ts';
import { RecordWatch } from './record-watch.ts';

/**
 * Watches this node's own stake record and ends the host when the chain says that it no longer counts. A record that cannot
 * be read ends nothing.
 */
export default definePlugin({
  name: 'slashing',
  api: 1,
  after: ['staking'],
  config: z.strictObject({
    intervalMs: z.int().min(100).max(60_000).default(3_000),
    /** While the gateway announces changes. */
    quietIntervalMs: z.int().min(100).max(60_000).default(15_000),
    /** After this time without a reading a notice is raised. */
    unreachableAfterMs: z.int().min(1_000).max(86_400_000).default(300_000),
  }),
  needs: { chain: StakeChain, control: HostControl, clock: HostClock, gateways: GatewayConnector },
  setup(scope, services) {
    const watch = new RecordWatch(scope, services);
    const looks = new Looks(services.clock);
    const listener = new ChangeListener(scope, services, () => looks.hurry());
    scope.on('stake.created', ({ recordId }) => watch.follow(recordId));
    scope.on('stake.found', ({ recordId }) => watch.follow(recordId));
    scope.on('seal.minted', ({ recordId, tokenId }) => watch.follow(recordId, tokenId));
    scope.on('seal.found', ({ recordId, tokenId }) => watch.follow(recordId, tokenId));
    scope.on('seal.rotated', ({ recordId, tokenId }) => watch.follow(recordId, tokenId));
    scope.on('worker.registered', (registered) => {
      watch.follow(registered.recordId, registered.sealTokenId);
      listener.follow(registered);
    });
    scope.run('listen', (signal) => listener.run(signal));
    scope.run('watch', async (signal) => {
      while (!signal.aborted) {
        await watch.look(signal);
        const { intervalMs, quietIntervalMs } = scope.config;
        await looks.rest(listener.isOpen() ? Math.max(intervalMs, quietIntervalMs) : intervalMs, signal);
      }
    });
    scope.health(() => watch.health());
  },
});
