import { Agent, definePlugin, GatewayConnector, HostClock, HostControl, StakeChain } from 'k3s-daas/plugin';
import { z } from 'zod';
import { Heartbeats } from './heartbeats.ts';
import { longestIntervalMs, shortestIntervalMs } from './interval.ts';

/**
 * Sends heartbeats to the gateway and follows its directives. No failure here stops the agent: pods run on while the
 * gateway is away.
 */
export default definePlugin({
  name: 'heartbeat',
  api: 1,
  after: ['registration'],
  config: z.strictObject({
    /** Instead of the interval that the gateway asks for. */
    intervalMs: z.int().min(shortestIntervalMs).max(longestIntervalMs).optional(),
    /** After this time without an acknowledged heartbeat a notice is raised. */
    unreachableAfterMs: z.int().min(1_000).max(86_400_000).default(300_000),
  }),
  needs: {
    chain: StakeChain,
    gateways: GatewayConnector,
    agent: Agent,
    control: HostControl,
    clock: HostClock,
  },
  setup(scope, services) {
    const heartbeats = new Heartbeats(scope, services);
    scope.on('registration.begun', () => heartbeats.pause());
    scope.on('registration.failed', ({ error }) => heartbeats.registrationFailed(error.code));
    scope.on('worker.registered', (registered) => heartbeats.follow(registered));
    scope.run('beat', (signal) => heartbeats.run(signal));
    scope.health(() => heartbeats.health());
  },
});
