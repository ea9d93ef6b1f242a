import type {
  V1LimitRange,
  V1Namespace,
  V1NetworkPolicy,
  V1ResourceQuota,
  V1RoleBinding,
} from '@kubernetes/client-node';
import { namespaceOfWallet, ownGroup, type Tenant, type TenantKeeper } from '#domain';
import { base58OfId } from './base58.ts';
import {
  absentIsFine,
  type CallOptions,
  isConflict,
  type KubeApi,
  type KubeApiOptions,
  openKubeApi,
} from './kube-api.ts';
import { isSameSpec } from './policy-pair.ts';
import { MANAGED_BY, OURS, TENANT_OWNER, TENANT_PLACEMENT } from './words.ts';

export interface TenantOptions extends KubeApiOptions {
  /** `staked`: pods run on staked nodes alone; `any`: wherever the scheduler puts them. */
  readonly placement: 'staked' | 'any';
  /** Level of Pod Security. */
  readonly podSecurity: 'restricted' | 'baseline' | 'privileged';
  /** `spec.hard` of the ResourceQuota, by tier. */
  readonly quota: Readonly<Record<Tenant['tier'], Readonly<Record<string, string>>>>;
}

/** Keeps the namespaces of people with the credentials of the keeper. Dispose of it to close its connections. */
export function openTenants(options: TenantOptions): TenantKeeper & AsyncDisposable {
  const api = openKubeApi(options);
  return {
    ensure: (tenant, signal) => ensure({ api, options, signal }, tenant),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

interface Context {
  readonly api: KubeApi;
  readonly options: TenantOptions;
  readonly signal: AbortSignal | undefined;
}

const labels = { [MANAGED_BY]: OURS };

/** The namespace first, its limits before its rights: nobody works in it without them. */
async function ensure(context: Context, tenant: Tenant): Promise<readonly string[]> {
  const namespace = namespaceOfWallet(tenant.wallet);
  const made: string[] = [];
  const note = (what: string, isMade: boolean) => {
    if (isMade) made.push(what);
  };
  note(`Namespace ${namespace}`, await ensureNamespace(context, namespace, tenant));
  note('ResourceQuota', await ensureQuota(context, namespace, tenant));
  note('LimitRange', await ensureLimits(context, namespace));
  for (const policy of networkPolicies(namespace))
    note(`NetworkPolicy ${policy.metadata?.name}`, await ensureNetworkPolicy(context, policy));
  for (const { permission, role } of tenant.roles)
    note(
      `RoleBinding of ${permission}`,
      await ensureBinding(context, namespace, { ...tenant, permission, role }),
    );
  return made;
}

async function ensureNamespace(
  { api, options, signal }: Context,
  name: string,
  { wallet }: Tenant,
): Promise<boolean> {
  const body: V1Namespace = {
    metadata: {
      name,
      labels: {
        ...labels,
        [TENANT_OWNER]: base58OfId(wallet),
        [TENANT_PLACEMENT]: options.placement,
        'pod-security.kubernetes.io/enforce': options.podSecurity,
        'pod-security.kubernetes.io/warn': options.podSecurity,
      },
      annotations: { 'k3s-daas.io/wallet': wallet },
    },
  };
  const found = await read(context(api, signal), `namespace ${name}`, (given) =>
    api.core.readNamespace({ name }, given),
  );
  if (found) return false;
  return create(context(api, signal), `namespace ${name}`, (given) =>
    api.core.createNamespace({ body }, given),
  );
}

async function ensureQuota({ api, options, signal }: Context, namespace: string, { tier }: Tenant) {
  const name = 'k3s-daas-tier';
  const what = `the quota of ${namespace}`;
  const spec = { hard: { ...options.quota[tier] } };
  const at = context(api, signal);
  const found = await read(at, what, (given) =>
    api.core.readNamespacedResourceQuota({ name, namespace }, given),
  );
  const body: V1ResourceQuota = { metadata: { name, namespace, labels }, spec };
  if (!found)
    return create(at, what, (given) => api.core.createNamespacedResourceQuota({ namespace, body }, given));
  if (isSameSpec(found.spec?.hard, spec.hard)) return false;
  // The version that was read must still be the newest.
  const resourceVersion = found.metadata?.resourceVersion ?? '';
  const next: V1ResourceQuota = { metadata: { name, namespace, labels, resourceVersion }, spec };
  await api.call(
    `replace ${what}`,
    (given) => api.core.replaceNamespacedResourceQuota({ name, namespace, body: next }, given),
    { signal },
  );
  return true;
}

/** A quota on CPU and memory refuses containers that name none: these are their sizes then. */
async function ensureLimits({ api, signal }: Context, namespace: string): Promise<boolean> {
  const name = 'k3s-daas-defaults';
  const what = `the defaults of ${namespace}`;
  const body: V1LimitRange = {
    metadata: { name, namespace, labels },
    spec: {
      limits: [
        {
          type: 'Container',
          _default: { cpu: '500m', memory: '256Mi' },
          defaultRequest: { cpu: '100m', memory: '128Mi' },
        },
      ],
    },
  };
  const at = context(api, signal);
  const found = await read(at, what, (given) =>
    api.core.readNamespacedLimitRange({ name, namespace }, given),
  );
  if (found) return false;
  return create(at, what, (given) => api.core.createNamespacedLimitRange({ namespace, body }, given));
}

type NetworkPolicySpec = NonNullable<V1NetworkPolicy['spec']>;

/** Nothing in or out, but within the namespace and to the cluster's DNS. */
function networkPolicies(namespace: string): V1NetworkPolicy[] {
  const policy = (name: string, rules: Pick<NetworkPolicySpec, 'ingress' | 'egress'>): V1NetworkPolicy => ({
    metadata: { name, namespace, labels },
    spec: { policyTypes: ['Ingress', 'Egress'], podSelector: {}, ...rules },
  });
  const dns = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } };
  return [
    policy('k3s-daas-deny', {}),
    policy('k3s-daas-within', {
      ingress: [{ _from: [{ podSelector: {} }] }],
      egress: [
        { to: [{ podSelector: {} }] },
        {
          to: [dns],
          ports: [
            { port: 53, protocol: 'UDP' },
            { port: 53, protocol: 'TCP' },
          ],
        },
      ],
    }),
  ];
}

async function ensureNetworkPolicy({ api, signal }: Context, body: V1NetworkPolicy): Promise<boolean> {
  const { name = '', namespace = '' } = body.metadata ?? {};
  const what = `network policy ${namespace}/${name}`;
  const at = context(api, signal);
  const found = await read(at, what, (given) =>
    api.networking.readNamespacedNetworkPolicy({ name, namespace }, given),
  );
  if (found) return false;
  return create(at, what, (given) =>
    api.networking.createNamespacedNetworkPolicy({ namespace, body }, given),
  );
}

async function ensureBinding(
  { api, signal }: Context,
  namespace: string,
  { wallet, permission, role }: Pick<Tenant, 'wallet'> & Tenant['roles'][number],
): Promise<boolean> {
  const group = 'rbac.authorization.k8s.io';
  // A binding's role cannot be changed: another role is another binding.
  const name = `k3s-daas:${permission.replaceAll('/', ':')}:${role.replaceAll('/', ':')}`;
  const body: V1RoleBinding = {
    metadata: { name, namespace, labels },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'Group', apiGroup: group, name: ownGroup(wallet, permission) }],
  };
  const what = `binding ${namespace}/${name}`;
  const at = context(api, signal);
  const found = await read(at, what, (given) =>
    api.rbac.readNamespacedRoleBinding({ name, namespace }, given),
  );
  if (found) return false;
  return create(at, what, (given) => api.rbac.createNamespacedRoleBinding({ namespace, body }, given));
}

interface At {
  readonly api: KubeApi;
  readonly signal: AbortSignal | undefined;
}
const context = (api: KubeApi, signal: AbortSignal | undefined): At => ({ api, signal });

function read<T>(
  { api, signal }: At,
  what: string,
  request: (options: CallOptions) => Promise<T>,
): Promise<T | undefined> {
  return absentIsFine(api.call(`read ${what}`, request, { signal }));
}

/** Another gateway may make it at the same moment. */
async function create(
  { api, signal }: At,
  what: string,
  request: (options: CallOptions) => Promise<unknown>,
): Promise<boolean> {
  try {
    await api.call(`create ${what}`, request, { signal });
    return true;
  } catch (error) {
    if (isConflict(error)) return false;
    throw error;
  }
}
