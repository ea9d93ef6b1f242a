import type { Clock, HostControl, Scope } from 'k3s-daas/plugin';
import { Allowance } from './allowance.ts';
import type { StakingConfig } from './config.ts';
import { Standing, type StandingServices } from './standing.ts';
import { TopUps } from './top-ups.ts';
import { Withdrawals } from './withdrawals.ts';

export interface StakingServices extends StandingServices {
  readonly control: HostControl;
  readonly clock: Clock;
}

/** What the start of a host and the care for its token share: each part keeps what it has said and spent. */
export interface StakingParts {
  readonly standing: Standing;
  readonly withdrawals: Withdrawals;
  readonly allowance: Allowance;
  readonly topUps: TopUps;
}

export function stakingParts(scope: Scope<StakingConfig>, services: StakingServices): StakingParts {
  const allowance = new Allowance(services);
  return {
    standing: new Standing(services, scope.config),
    withdrawals: new Withdrawals(scope, services.chain),
    allowance,
    topUps: new TopUps(scope, services, allowance),
  };
}
