import {
  type ClusterSnapshot,
  type contracts,
  GATEWAY_STATUSES,
  type ParameterState,
  parametersAt,
  termsFingerprint,
} from '#chain';
import { GATEWAY_TIERS } from '#domain';
import {
  type DeploymentOptions,
  formatTime,
  type NetworkOptions,
  openClusterReader,
} from './chain-options.ts';
import { parameterRows } from './cluster-parameters.ts';
import { serverRows, serversJson } from './cluster-servers.ts';
import { type Io, table } from './io.ts';

export async function showCluster(io: Io, options: NetworkOptions & DeploymentOptions): Promise<void> {
  const client = await openClusterReader(io, options);
  const snapshot = await client.clusterState();
  const { state, nowMs } = snapshot;
  const inForce = parametersAt(state, nowMs);
  io.result(
    {
      clusterId: state.id,
      admin: state.admin,
      offeredAdmin: state.offeredAdmin,
      parameters: inForce,
      pending: pendingOf(snapshot),
      gateways: state.gateways.map(gatewayJson),
      termsVersion: state.termsVersion,
      termsFingerprint: termsFingerprint(state),
      ...serversJson(state),
      liveRecords: state.nodes.size,
      changeSequence: state.changeSeq,
      chainTimeMs: nowMs,
    },
    clusterText(io, snapshot, inForce),
  );
}

/** Announced parameters that are not in force yet. */
export function pendingOf({ state, nowMs }: ClusterSnapshot) {
  return state.pending && BigInt(nowMs) < state.pending.effectiveAtMs ? state.pending : undefined;
}

function clusterText(io: Io, snapshot: ClusterSnapshot, inForce: ParameterState): string {
  const { state } = snapshot;
  const { bold, dim } = io.colour;
  const pending = pendingOf(snapshot);
  const parts = [
    table([
      ['cluster', state.id],
      ['admin', state.admin],
      ...(state.offeredAdmin ? [['offered to', state.offeredAdmin.to]] : []),
      ['terms', `${termsFingerprint(state)} (version ${state.termsVersion})`],
      ...serverRows(state),
      ['live nodes', state.nodes.size.toString()],
      ['changes', state.changeSeq.toString()],
    ]),
    `${bold('Parameters in force')}\n${table(parameterRows(inForce))}`,
  ];
  if (pending)
    parts.push(
      `${bold(`Pending, in force from ${formatTime(Number(pending.effectiveAtMs))} on`)}${
        pending.treasuryAccepted ? '' : dim(' (the new treasury has not accepted: the old one stays)')
      }\n${table(parameterRows(pending.parameters))}`,
    );
  parts.push(
    `${bold('Gateways')}\n${
      state.gateways.length === 0
        ? 'none: add one with `k3s-daas cluster gateway add`'
        : table([['ID', 'URL', 'TIER', 'STATUS', 'ATTESTATION'], ...state.gateways.map(gatewayRow)])
    }`,
  );
  return parts.join('\n\n');
}

function gatewayRow(gateway: contracts.cluster.Gateway): string[] {
  const { id, url, tier, status, attestationKind } = gatewayJson(gateway);
  return [id, url, tier, status, attestationKind];
}

function gatewayJson(gateway: contracts.cluster.Gateway) {
  return {
    id: gateway.id,
    url: gateway.endpoint,
    tier: GATEWAY_TIERS[gateway.tier] ?? String(gateway.tier),
    status: GATEWAY_STATUSES[gateway.status] ?? String(gateway.status),
    attestationKind: gateway.attestationKind,
    measurement: Buffer.from(gateway.attestationMeasurement).toString('hex'),
    signingKey: Buffer.from(gateway.signingKey).toString('hex'),
    tlsPins: gateway.tlsPins.map((pin) => Buffer.from(pin).toString('hex')),
  };
}
