import {
  Agent,
  definePlugin,
  GatewayConnector,
  HostClock,
  HostControl,
  JoinCredentialSource,
  NodeIdentity,
  StakeChain,
} from 'k3s-daas/plugin';
import { z } from 'zod';
import { GatewayRegistration } from './gateway-registration.ts';

/**
 * Turns a Seal token into what the agent is started with, at one of the gateways that the chain names. Each call tries them
 * all once; the host calls again, after growing delays, while the failure is one that may pass.
 */
export default definePlugin({
  name: 'registration',
  api: 1,
  config: z.strictObject({
    /** Asked first; must be one of the chain's gateways. */
    gatewayUrl: z
      .string()
      .regex(
        /^https:\/\/[^/?#@\\\s]+$/i,
        'expected https://host:port, without a user, a path or a slash at the end',
      )
      .optional(),
  }),
  needs: {
    chain: StakeChain,
    identity: NodeIdentity,
    gateways: GatewayConnector,
    control: HostControl,
    clock: HostClock,
    agent: Agent,
  },
  setup(scope, services) {
    const registration = new GatewayRegistration(scope, services);
    scope.provide(JoinCredentialSource, registration);
    scope.health(() => registration.health());
  },
});
