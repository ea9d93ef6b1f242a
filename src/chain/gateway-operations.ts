import { GATEWAY_TIERS, type GatewayEntry } from '#domain';
import { GATEWAY_STATUSES, type GatewayStatus } from './contract-objects.ts';
import { expectEvent } from './executed-transaction.ts';
import { cluster } from './generated/index.ts';
import { type ClusterActor, digestOf, operation } from './operation.ts';

/** A gateway as it is registered on chain, which gives it its id. */
export type NewGateway = Omit<GatewayEntry, 'id' | 'isLive'>;

/** Registers a gateway, live at once. */
export const addGateway = operation(({ client }: ClusterActor, gateway: NewGateway) => {
  const { packageId, clusterId } = client.deployment;
  return {
    packageId,
    shared: [clusterId],
    build: (tx, objects) => {
      cluster.registerGateway(tx, packageId, {
        cluster: objects.mutable(clusterId),
        endpoint: gateway.url,
        tlsPins: gateway.tlsPins,
        attestationKind: gateway.attestationKind,
        attestationMeasurement: gateway.measurement,
        signingKey: gateway.signingKey,
        tier: GATEWAY_TIERS.indexOf(gateway.tier),
      });
    },
    resultOf: (transaction) => {
      const event = expectEvent(transaction, packageId, cluster.MODULE, 'GatewayRegistered');
      return { digest: transaction.digest, gatewayId: cluster.GatewayRegistered.parse(event).gateway.id };
    },
  };
});

export const setGatewayStatus = operation(
  (
    { client }: ClusterActor,
    { gatewayId, status }: { readonly gatewayId: string; readonly status: GatewayStatus },
  ) => {
    const { packageId, clusterId } = client.deployment;
    return {
      packageId,
      shared: [clusterId],
      build: (tx, objects) => {
        cluster.setGatewayStatus(tx, packageId, {
          cluster: objects.mutable(clusterId),
          gateway: gatewayId,
          status: GATEWAY_STATUSES.indexOf(status),
        });
      },
      resultOf: digestOf,
    };
  },
);
