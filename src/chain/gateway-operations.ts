import { GATEWAY_TIERS, type GatewayEntry } from '#domain';
import { GATEWAY_STATUSES, type GatewayStatus } from './contract-objects.ts';
import { type Executed, expectEvent } from './executed-transaction.ts';
import { attestation, cluster } from './generated/index.ts';
import { clusterOperation, digestOf } from './operation.ts';

/** A gateway as it is registered on chain, which gives it its id. */
export type NewGateway = Omit<GatewayEntry, 'id' | 'isLive'>;

/** Registers a gateway, live at once. */
export const addGateway = clusterOperation(
  (gateway: NewGateway) => ({ kind: 'add-gateway', ...gateway }),
  ({ packageId, clusterId }, gateway) => ({
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
    resultOf: (transaction: Executed) => {
      const event = expectEvent(transaction, packageId, cluster.MODULE, 'GatewayRegistered');
      return { digest: transaction.digest, gatewayId: cluster.GatewayRegistered.parse(event).gateway.id };
    },
  }),
);

const LOAD_DOCUMENT = '0x2::nitro_attestation::load_nitro_attestation';

/** Shows a document of AWS Nitro for a gateway; the chain checks signature, certificates and time of it. */
export const registerAttestation = clusterOperation(
  (input: { readonly gatewayId: string; readonly document: Uint8Array }) => ({
    kind: 'register-attestation',
    ...input,
  }),
  ({ packageId, clusterId }, { gatewayId, document }) => ({
    packageId,
    shared: [clusterId],
    build: (tx, objects) => {
      const loaded = tx.moveCall({
        target: LOAD_DOCUMENT,
        arguments: [tx.pure.vector('u8', document), tx.object.clock()],
      });
      attestation.registerAttestation(tx, packageId, {
        cluster: objects.mutable(clusterId),
        gateway: gatewayId,
        document: loaded,
      });
    },
    resultOf: (transaction: Executed) => {
      const event = expectEvent(transaction, packageId, cluster.MODULE, 'GatewayAttested');
      const { measurement, attestation: kept } = cluster.GatewayAttested.parse(event);
      return {
        digest: transaction.digest,
        measurement: Buffer.from(measurement).toString('hex'),
        enclaveKey: Buffer.from(kept.enclaveKey).toString('hex'),
        expiresAtMs: Number(kept.expiresAtMs),
      };
    },
  }),
);

export const setGatewayStatus = clusterOperation(
  (input: { readonly gatewayId: string; readonly status: GatewayStatus }) => ({
    kind: 'set-gateway-status',
    ...input,
  }),
  ({ packageId, clusterId }, { gatewayId, status }) => ({
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
  }),
);
