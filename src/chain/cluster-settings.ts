import type { ParameterState } from './contract-objects.ts';
import { cluster } from './generated/index.ts';
import type { TransactionRequest } from './prepare-transaction.ts';

/** What a cluster is created with, or changed to; amounts in MIST, times in ms. */
export type ClusterSettings = ParameterState;

/** Tiers for a chain of one's own; on a public network `assertTiers` refuses them. */
export const DEFAULT_TIERS: ClusterSettings['tiers'] = [
  { stakeMist: 100n, permissions: ['pods:read', 'services:read'] },
  { stakeMist: 1_000n, permissions: ['nodes:write', 'pods:write'] },
  { stakeMist: 10_000n, permissions: ['*:*'] },
];

/** Settings for a single operator: the admin is the only slasher and the treasury. */
export function defaultSettings(admin: string): ClusterSettings {
  return {
    minimumStakeMist: 1_000_000_000n,
    minimumTopUpMist: 100_000_000n,
    tiers: DEFAULT_TIERS,
    unbondingMs: 604_800_000n,
    maximumTokenEpochs: 30n,
    slashers: [admin],
    slashThreshold: 1n,
    proposalLifeMs: 86_400_000n,
    challengeMs: 0n,
    treasury: admin,
  };
}

/** The settings as an argument of `create_cluster` and `schedule_parameters`. */
export function parametersArgument(
  tx: Parameters<TransactionRequest['build']>[0],
  packageId: string,
  { tiers, ...settings }: ClusterSettings,
) {
  return cluster.newParameters(tx, packageId, {
    ...settings,
    tierStakesMist: tiers.map(({ stakeMist }) => stakeMist),
    tierPermissions: tiers.map(({ permissions }) => permissions),
  });
}
