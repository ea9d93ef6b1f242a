import { type ClusterSettings, parametersArgument } from './cluster-settings.ts';
import { expectEvent } from './executed-transaction.ts';
import { cluster } from './generated/index.ts';
import { type Actor, type ClusterActor, digestOf, operation } from './operation.ts';

export interface ClusterCreated {
  readonly digest: string;
  readonly clusterId: string;
}

/** Makes a cluster whose admin is the wallet. */
export const createCluster = operation(
  (
    _actor: Actor,
    { packageId, settings }: { readonly packageId: string; readonly settings: ClusterSettings },
  ) => ({
    packageId,
    build: (tx) => {
      cluster.createCluster(tx, packageId, { parameters: parametersArgument(tx, packageId, settings) });
    },
    resultOf: (transaction): ClusterCreated => {
      const event = expectEvent(transaction, packageId, cluster.MODULE, 'ClusterCreated');
      return { digest: transaction.digest, clusterId: cluster.ClusterCreated.parse(event).cluster };
    },
  }),
);

/**
 * Announces new parameters. They are in force after the unbonding time and a day, and after the last stake that unbonds
 * under longer terms has been released.
 */
export const scheduleParameters = operation(({ client }: ClusterActor, settings: ClusterSettings) => {
  const { packageId, clusterId } = client.deployment;
  return {
    packageId,
    shared: [clusterId],
    build: (tx, objects) => {
      cluster.scheduleParameters(tx, packageId, {
        cluster: objects.mutable(clusterId),
        parameters: parametersArgument(tx, packageId, settings),
      });
    },
    resultOf: (transaction) => {
      const bytes = expectEvent(transaction, packageId, cluster.MODULE, 'ParametersScheduled');
      const event = cluster.ParametersScheduled.parse(bytes);
      return {
        digest: transaction.digest,
        effectiveAtMs: Number(event.effectiveAtMs),
        isTreasuryAccepted: event.treasuryAccepted,
      };
    },
  };
});

/** Changes of roles that count at once, by the admin or by the address to which a role was offered. */
export type ClusterChange =
  | { readonly kind: 'remove-slasher'; readonly slasher: string }
  | { readonly kind: 'raise-threshold'; readonly threshold: bigint }
  | { readonly kind: 'accept-treasury' }
  | { readonly kind: 'offer-admin'; readonly admin: string }
  | { readonly kind: 'accept-admin' };

export const changeCluster = operation(({ client }: ClusterActor, change: ClusterChange) => {
  const { packageId, clusterId } = client.deployment;
  return {
    packageId,
    shared: [clusterId],
    build: (tx, objects) => {
      const target = { cluster: objects.mutable(clusterId) };
      switch (change.kind) {
        case 'remove-slasher':
          return void cluster.removeSlasher(tx, packageId, { ...target, slasher: change.slasher });
        case 'raise-threshold':
          return void cluster.raiseSlashThreshold(tx, packageId, {
            ...target,
            slashThreshold: change.threshold,
          });
        case 'accept-treasury':
          return void cluster.acceptTreasury(tx, packageId, target);
        case 'offer-admin':
          return void cluster.offerAdmin(tx, packageId, { ...target, newAdmin: change.admin });
        case 'accept-admin':
          return void cluster.acceptAdmin(tx, packageId, target);
        default:
          return change satisfies never;
      }
    },
    resultOf: digestOf,
  };
});
