import type { KubernetesObject, V1Namespace, V1RoleBinding } from '@kubernetes/client-node';
import { GATEWAY_TIERS, type Tenant, type TenantKeeper, type TenantNamespace } from '#domain';
import {
  change,
  isOutdated,
  keepLimits,
  quotaDifference,
  specDifference,
  type TenantContext,
  takeBack,
  withMetadata,
} from './tenant-keeping.ts';
import { limitsOf, namespaceLabels, networkPoliciesOf, quotaOf } from './tenant-objects.ts';
import {
  MANAGED_BY,
  OURS,
  TENANT_ENDED,
  TENANT_KEPT_UNTIL,
  TENANT_OWNER,
  TENANT_RECORDS,
  TENANT_TIER,
  TENANT_WALLET,
} from './words.ts';

/** What is in all namespaces, by namespace. */
interface Found {
  readonly limits: ReadonlyMap<string, readonly KubernetesObject[]>;
  readonly bindings: ReadonlyMap<string, readonly V1RoleBinding[]>;
}

/** Brings the namespaces of people to what the configuration says now; those whose owner never returns, too. */
export async function refreshTenants(context: TenantContext): ReturnType<TenantKeeper['refresh']> {
  const namespaces = (await listNamespaces(context)).filter(
    ({ metadata }) => metadata?.deletionTimestamp === undefined && metadata?.annotations?.[TENANT_WALLET],
  );
  const changes: string[] = [];
  if (namespaces.length > 0) {
    const found = await listContents(context);
    for (const namespace of namespaces) changes.push(...(await refreshOne(context, namespace, found)));
  }
  return { namespaces: namespaces.map(tenantNamespaceOf), changes };
}

function listNamespaces({ api, signal }: TenantContext): Promise<readonly V1Namespace[]> {
  return api
    .call(
      'list the namespaces of people',
      (given) => api.core.listNamespace({ labelSelector: TENANT_OWNER }, given),
      { signal },
    )
    .then(({ items }) => items);
}

async function listContents({ api, signal }: TenantContext): Promise<Found> {
  const { core, networking, rbac } = api;
  const ours = { labelSelector: `${MANAGED_BY}=${OURS}` };
  const [quotas, limits, policies, bindings] = await Promise.all([
    api.call('list quotas', (given) => core.listResourceQuotaForAllNamespaces(ours, given), { signal }),
    api.call('list limits', (given) => core.listLimitRangeForAllNamespaces(ours, given), { signal }),
    api.call('list policies', (given) => networking.listNetworkPolicyForAllNamespaces(ours, given), {
      signal,
    }),
    api.call('list bindings', (given) => rbac.listRoleBindingForAllNamespaces(ours, given), { signal }),
  ]);
  const all: KubernetesObject[] = [...quotas.items, ...limits.items, ...policies.items];
  return { limits: byNamespace(all), bindings: byNamespace(bindings.items) };
}

function byNamespace<T extends KubernetesObject>(objects: readonly T[]): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(objects, ({ metadata }) => metadata?.namespace ?? '');
}

async function refreshOne(
  context: TenantContext,
  namespace: V1Namespace,
  { limits, bindings }: Found,
): Promise<readonly string[]> {
  const name = namespace.metadata?.name ?? '';
  const wallet = namespace.metadata?.annotations?.[TENANT_WALLET] ?? '';
  const tier = GATEWAY_TIERS.find((known) => known === namespace.metadata?.annotations?.[TENANT_TIER]);
  const changes: Array<string | undefined> = [];
  if (!isLabelled(context, namespace, wallet)) changes.push(await label(context, namespace, wallet));
  if (!isLimited(context, { name, tier }, limits.get(name) ?? []))
    changes.push(...(await keepLimits(context, { wallet, tier })));
  const own = bindings.get(name) ?? [];
  if (own.some((binding) => isOutdated(context, wallet, binding)))
    changes.push(...(await takeBack(context, wallet, own)));
  return changes.flatMap((change) => (change === undefined ? [] : [`${name}: ${change}`]));
}

function isLabelled({ options }: TenantContext, { metadata }: V1Namespace, wallet: string): boolean {
  return Object.entries(namespaceLabels(wallet, options)).every(
    ([name, value]) => metadata?.labels?.[name] === value,
  );
}

/** Its annotations stay: a refresh is no login. */
function label(context: TenantContext, found: V1Namespace, wallet: string): Promise<string | undefined> {
  const named = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: found.metadata?.name ?? '' } };
  return change(context, named, (now) =>
    withMetadata(now, { labels: { ...now.metadata?.labels, ...namespaceLabels(wallet, context.options) } }),
  );
}

function isLimited(
  { options }: TenantContext,
  { name, tier }: { readonly name: string; readonly tier: Tenant['tier'] | undefined },
  found: readonly KubernetesObject[],
): boolean {
  const named = (wanted: KubernetesObject) =>
    found.find(({ metadata }) => metadata?.name === wanted.metadata?.name);
  const quota = tier && quotaOf(name, options.quota[tier]);
  const current = quota && named(quota);
  if (quota && (!current || quotaDifference(current, quota))) return false;
  return [limitsOf(name), ...networkPoliciesOf(name)].every((wanted) => {
    const now = named(wanted);
    return now !== undefined && specDifference(now, wanted) === undefined;
  });
}

function tenantNamespaceOf({ metadata }: V1Namespace): TenantNamespace {
  const annotations = metadata?.annotations ?? {};
  return {
    wallet: annotations[TENANT_WALLET] ?? '',
    namespace: metadata?.name ?? '',
    recordIds: (annotations[TENANT_RECORDS] ?? '').split(',').filter((id) => id !== ''),
    endedAtMs: timeOf(annotations[TENANT_ENDED]),
    keptUntilMs: timeOf(annotations[TENANT_KEPT_UNTIL]),
  };
}

function timeOf(text: string | undefined): number | undefined {
  const atMs = Date.parse(text ?? '');
  return Number.isNaN(atMs) ? undefined : atMs;
}
