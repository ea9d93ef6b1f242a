import { type ClusterSettings, parametersArgument } from './cluster-settings.ts';
import { type Executed, expectEvent } from './executed-transaction.ts';
import { cluster, staking } from './generated/index.ts';
import { type Actor, clusterOperation, digestOf, type OperationCall, operation } from './operation.ts';

export interface ClusterCreated {
  readonly digest: string;
  readonly clusterId: string;
}

/** How the machines of a cluster know its server: at most 4 URLs, and at most 2 CA hashes, as join tokens name them. */
export interface ClusterServers {
  readonly servers: readonly string[];
  /** Empty: unchecked. */
  readonly caHashes: readonly Uint8Array[];
}

interface Creation {
  readonly packageId: string;
  readonly settings: ClusterSettings;
  readonly servers?: ClusterServers | undefined;
}

/** The calls that make a cluster whose admin is the sender. */
export const createClusterCall = ({
  packageId,
  settings,
  servers,
}: Creation): OperationCall<ClusterCreated> => ({
  packageId,
  build: (tx) => {
    const parameters = parametersArgument(tx, packageId, settings);
    const made = cluster.createCluster(tx, packageId, { parameters });
    if (servers) cluster.setServers(tx, packageId, { cluster: made, ...servers });
    cluster.share(tx, packageId, { cluster: made });
  },
  resultOf: (transaction) => {
    const event = expectEvent(transaction, packageId, cluster.MODULE, 'ClusterCreated');
    return { digest: transaction.digest, clusterId: cluster.ClusterCreated.parse(event).cluster };
  },
});

/** Makes a cluster whose admin is the wallet. */
export const createCluster = operation((_actor: Actor, creation: Creation) => ({
  ...createClusterCall(creation),
  act: { kind: 'create-cluster', parameters: creation.settings, servers: creation.servers },
}));

/**
 * Announces new parameters. They are in force after the unbonding time and a day, and after the last stake that unbonds
 * under longer terms has been released.
 */
export const scheduleParameters = clusterOperation(
  (settings: ClusterSettings) => ({ kind: 'schedule-parameters', ...settings }),
  ({ packageId, clusterId }, settings) => ({
    packageId,
    shared: [clusterId],
    build: (tx, objects) => {
      cluster.scheduleParameters(tx, packageId, {
        cluster: objects.mutable(clusterId),
        parameters: parametersArgument(tx, packageId, settings),
      });
    },
    resultOf: (transaction: Executed) => {
      const bytes = expectEvent(transaction, packageId, cluster.MODULE, 'ParametersScheduled');
      const event = cluster.ParametersScheduled.parse(bytes);
      return {
        digest: transaction.digest,
        effectiveAtMs: Number(event.effectiveAtMs),
        isTreasuryAccepted: event.treasuryAccepted,
      };
    },
  }),
);

/** Changes that count at once, by the admin or by the address to which a role was offered. */
export type ClusterChange =
  | { readonly kind: 'remove-slasher'; readonly slasher: string }
  | { readonly kind: 'raise-threshold'; readonly threshold: bigint }
  | { readonly kind: 'accept-treasury' }
  | { readonly kind: 'offer-admin'; readonly admin: string }
  | { readonly kind: 'accept-admin' }
  | ({ readonly kind: 'set-servers' } & ClusterServers)
  | { readonly kind: 'reserve-node-id'; readonly nodeId: string; readonly reservedFor: string }
  | { readonly kind: 'unreserve-node-id'; readonly nodeId: string };

export const changeCluster = clusterOperation(
  (change: ClusterChange) => change,
  ({ packageId, clusterId }, change) => ({
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
        case 'set-servers':
          return void cluster.setServers(tx, packageId, {
            ...target,
            servers: change.servers,
            caHashes: change.caHashes,
          });
        case 'reserve-node-id':
          return void cluster.reserveNodeId(tx, packageId, {
            ...target,
            nodeId: change.nodeId,
            reservedFor: change.reservedFor,
          });
        case 'unreserve-node-id':
          return void cluster.unreserveNodeId(tx, packageId, { ...target, nodeId: change.nodeId });
        default:
          return change satisfies never;
      }
    },
    resultOf: digestOf,
  }),
);

/** Ends a stake against its staker's will: by the admin, to free a node id. The coins unbond as after `unstake`. */
export const forceUnstake = clusterOperation(
  (input: { readonly recordId: string }) => ({ kind: 'force-unstake', ...input }),
  ({ packageId, clusterId }, { recordId }) => ({
    packageId,
    shared: [clusterId, recordId],
    build: (tx, objects) => {
      staking.forceUnstake(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(recordId),
      });
    },
    resultOf: digestOf,
  }),
);
