import { systemClock } from '#base';
import {
  createChainClient,
  formatSui,
  type ListedStake,
  type ParameterState,
  parametersAt,
  stakesOf,
} from '#chain';
import { namespaceOfWallet } from '#domain';
import { endedStake, permissionsNow } from '#seal';
import { chainAccessOf } from './chain-access.ts';
import { deploymentOf } from './chain-settings.ts';
import { type GatewaySection, gatewaySection } from './gateway-config.ts';
import { roleInForce } from './gateway-parts.ts';
import { type Io, table } from './io.ts';
import { loadGatewaySettings } from './settings.ts';
import { addressOf } from './sui-address.ts';

export interface RightsFlags {
  readonly wallet: string;
  readonly config?: string;
}

/** What one permission of a Seal token is worth now. */
export interface Right {
  readonly permission: string;
  /** The ClusterRole; `undefined`: none. */
  readonly role: string | undefined;
  /** Where it counts, or why it does not. */
  readonly scope: string;
  readonly isGranted: boolean;
}

/** `k3s-daas gateway rights`: what a wallet may do in Kubernetes, by its stakes today and the configuration. */
export async function showRights(io: Io, { wallet: text, config }: RightsFlags): Promise<void> {
  const wallet = addressOf(text, '--wallet');
  const settings = await loadGatewaySettings({ file: config });
  const { tenants } = gatewaySection(settings);
  const deployment = await deploymentOf(settings);
  const access = await chainAccessOf(settings);
  const client = createChainClient({ ...access, deployment, clock: systemClock });
  const { packageId, clusterId } = deployment;
  const found = await stakesOf({ endpoints: client.endpoints, packageId }, wallet);
  const stakes = found.stakes
    .filter(({ record }) => record.stakeType !== 'node' && record.cluster === clusterId)
    .map((stake) => ({ stake, rights: rightsOf(stake, { ...found, tenants }) }));
  io.result(
    {
      wallet,
      namespace: tenants.enabled ? namespaceOfWallet(wallet) : null,
      stakes: stakes.map(({ stake: { record, token }, rights }) => ({
        record: record.id,
        stakeType: record.stakeType,
        status: record.status,
        stakeMist: record.stakeMist,
        sealToken: token?.id ?? null,
        rights: rights.map((right) => ({ ...right, role: right.role ?? null })),
      })),
    },
    stakes.length === 0
      ? `the wallet ${wallet} has no stake of a person in the cluster ${clusterId}: it has no rights`
      : stakes.map(({ stake, rights }) => rightsText(stake, rights)).join('\n\n'),
  );
}

interface Now {
  readonly nowMs: number;
  readonly epoch: bigint;
  readonly tenants: Pick<GatewaySection['tenants'], 'enabled' | 'roles'>;
}

/** Each permission of the token, and what it is worth by the stake and the mapping now. */
export function rightsOf({ record, token, cluster }: ListedStake, now: Now): readonly Right[] {
  if (!token) return [];
  const parameters = parametersAt(cluster, now.nowMs);
  const tiersMist = parameters.tiers.map(({ stakeMist }) => stakeMist);
  const tierPermissions = parameters.tiers.map(({ permissions }) => permissions);
  const granted = permissionsNow(token, { tiersMist, tierPermissions }, record.stakeMist);
  const ended = endedStake(record);
  const over = ended ?? (now.epoch >= token.expiresAtEpoch ? 'the Seal token has expired' : undefined);
  return [...new Set([...token.permissions, ...granted])].map((permission) => {
    const role = roleInForce(now.tenants.roles, permission);
    if (over !== undefined) return { permission, role, scope: `nothing: ${over}`, isGranted: false };
    if (!granted.includes(permission))
      return { permission, role, scope: whyNotGranted(permission, granted, parameters), isGranted: false };
    return { permission, role, scope: scopeOf(record.staker, { permission, role }, now), isGranted: true };
  });
}

function whyNotGranted(permission: string, granted: readonly string[], { tiers }: ParameterState): string {
  if (permission === '*:*' && granted.length > 0)
    return 'as far as the stake carries: the lines of this table';
  const tier = tiers.find(
    ({ permissions }) => permissions.includes(permission) || permissions.includes('*:*'),
  );
  return tier
    ? `nothing: the tier that grants it begins at ${formatSui(tier.stakeMist)}`
    : 'nothing: no tier of this cluster grants it';
}

function scopeOf(
  wallet: string,
  { permission, role }: Pick<Right, 'permission' | 'role'>,
  { tenants }: Now,
): string {
  if (role === undefined) return 'nothing: no role is mapped to it (gateway.tenants.roles)';
  if (permission === 'nodes:read')
    return 'nothing in a namespace: bind the group seal:perm:nodes:read in the whole cluster';
  if (!tenants.enabled)
    return `what you bind to the group seal:perm:${permission} (gateway.tenants.enabled is false)`;
  return `namespace ${namespaceOfWallet(wallet)}`;
}

function rightsText({ record, token }: ListedStake, rights: readonly Right[]): string {
  const head = table([
    ['stake', `${record.id}, of type ${record.stakeType}, ${formatSui(record.stakeMist)}, ${record.status}`],
    ['Seal token', token?.id ?? 'none: no login'],
  ]);
  if (rights.length === 0) return head;
  const rows = rights.map(({ permission, role, scope }) => [permission, role ?? '-', scope]);
  return `${head}\n${table([['PERMISSION', 'ROLE', 'SCOPE'], ...rows])}`;
}
