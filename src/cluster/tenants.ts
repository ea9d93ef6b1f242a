import type { V1RoleBinding } from '@kubernetes/client-node';
import { namespaceOfWallet, type Tenant, type TenantKeeper } from '#domain';
import { openKubeApi } from './kube-api.ts';
import { isSameSpec } from './policy-pair.ts';
import { announceEnd, removeNamespace } from './tenant-ending.ts';
import {
  bindingDifference,
  keep,
  keepLimits,
  namespaceDifference,
  type TenantContext,
  type TenantOptions,
  takeBack,
} from './tenant-keeping.ts';
import { bindingOf, namespaceOf } from './tenant-objects.ts';
import { refreshTenants } from './tenant-refresh.ts';
import { MANAGED_BY, OURS } from './words.ts';

/** Keeps the namespaces of people with the credentials of the keeper. Dispose of it to close its connections. */
export function openTenants(options: TenantOptions): TenantKeeper & AsyncDisposable {
  const api = openKubeApi(options);
  return {
    ensure: (tenant, signal) => ensure({ api, options, signal }, tenant),
    refresh: (signal) => refreshTenants({ api, options, signal }),
    announceEnd: (end, signal) => announceEnd({ api, options, signal }, end),
    remove: (wallet, signal) => removeNamespace({ api, options, signal }, wallet),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

/**
 * The namespace first, its limits before its rights: nobody works in it without them. What does not need the other is made at the same
 * time, since the person waits.
 */
async function ensure(context: TenantContext, tenant: Tenant): Promise<readonly string[]> {
  const { wallet, tier, roles } = tenant;
  const made = await keep(context, namespaceOf(tenant, context.options), namespaceDifference);
  const [limits, before] = await Promise.all([
    keepLimits(context, { wallet, tier }),
    bindingsIn(context, namespaceOfWallet(wallet)),
  ]);
  const takenBack = await takeBack(context, wallet, before);
  const known = new Map(before.map((binding) => [binding.metadata?.name, binding]));
  const wanting = roles
    .map((given) => bindingOf(wallet, given))
    .filter((wanted) => !isSameSpec(known.get(wanted.metadata.name)?.subjects, wanted.subjects));
  const bound = await Promise.all(wanting.map((wanted) => keep(context, wanted, bindingDifference)));
  return [made, ...limits, ...takenBack, ...bound].filter((change) => change !== undefined);
}

async function bindingsIn(
  { api, signal }: TenantContext,
  namespace: string,
): Promise<readonly V1RoleBinding[]> {
  const labelSelector = `${MANAGED_BY}=${OURS}`;
  const { items } = await api.call(
    `list the bindings of ${namespace}`,
    (given) => api.rbac.listNamespacedRoleBinding({ namespace, labelSelector }, given),
    { signal },
  );
  return items;
}
