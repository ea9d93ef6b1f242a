import {
  definePlugin,
  errorFields,
  HostClock,
  HostControl,
  NodeIdentity,
  PluginJournal,
  SealTokenSource,
  StakeChain,
} from 'k3s-daas/plugin';
import { StakingConfig } from './config.ts';
import { NodeStake } from './node-stake.ts';
import { stakingParts } from './parts.ts';
import { TokenKeeper } from './token-keeper.ts';

/** Finds or makes the stake record and the Seal token of this node, and rotates the token before it ends. */
export default definePlugin({
  name: 'staking',
  api: 1,
  config: StakingConfig,
  needs: {
    chain: StakeChain,
    identity: NodeIdentity,
    journal: PluginJournal,
    control: HostControl,
    clock: HostClock,
  },
  setup(scope, services) {
    const parts = stakingParts(scope, services);
    const stake = new NodeStake(scope, services, parts);
    scope.provide(SealTokenSource, stake);
    scope.on('registration.failed', ({ error }) => stake.answered(error.code));
    const keeper = new TokenKeeper(scope, services, parts);
    scope.on('worker.registered', (registered) => {
      stake.answered();
      keeper
        .follow(registered)
        // The next registration, or the next start, completes the exchange.
        .catch((error: unknown) => scope.log.warn('The earlier node key stays for now', errorFields(error)));
    });
    scope.on('gateway.directive', (directive) => keeper.obey(directive));
    scope.run('rotation', (signal) => keeper.run(signal));
  },
});
