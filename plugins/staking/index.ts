import {
  definePlugin,
  HostControl,
  NodeIdentity,
  PluginJournal,
  SealTokenSource,
  StakeChain,
} from 'k3s-daas/plugin';
import { StakingConfig } from './config.ts';
import { NodeStake } from './node-stake.ts';

/** Finds or makes the stake record and the Seal token of this node. */
export default definePlugin({
  name: 'staking',
  api: 1,
  config: StakingConfig,
  needs: { chain: StakeChain, identity: NodeIdentity, journal: PluginJournal, control: HostControl },
  setup(scope, services) {
    scope.provide(SealTokenSource, new NodeStake(scope, services));
  },
});
