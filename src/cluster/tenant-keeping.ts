import type { KubernetesObject, V1ObjectMeta, V1ResourceQuota, V1RoleBinding } from '@kubernetes/client-node';
import { ConfigurationError } from '#base';
import { namespaceOfWallet, type Tenant } from '#domain';
import { absentIsFine, isConflict, type KubeApi, type KubeApiOptions } from './kube-api.ts';
import { verbsOf } from './objects.ts';
import { isSameSpec } from './policy-pair.ts';
import { isSameQuantities } from './quantities.ts';
import { describeObject } from './setup-objects.ts';
import {
  limitsOf,
  networkPoliciesOf,
  permissionOfBinding,
  quotaOf,
  recordsAfter,
  type TenantSettings,
} from './tenant-objects.ts';
import { TENANT_ENDED, TENANT_KEPT_UNTIL, TENANT_OWNER, TENANT_RECORDS } from './words.ts';

export interface TenantOptions extends KubeApiOptions, TenantSettings {
  /** The ClusterRole that a permission is mapped to now; `undefined`: none. */
  readonly roleOf: (permission: string) => string | undefined;
}

/** What every part of the keeper works with. */
export interface TenantContext {
  readonly api: KubeApi;
  readonly options: TenantOptions;
  readonly signal: AbortSignal | undefined;
}

/** Quota, sizes and network policies of a namespace; `tier: undefined` leaves the quota as it is. */
export async function keepLimits(
  context: TenantContext,
  { wallet, tier }: { readonly wallet: string; readonly tier: Tenant['tier'] | undefined },
): Promise<readonly string[]> {
  const namespace = namespaceOfWallet(wallet);
  const { quota } = context.options;
  const changes = await Promise.all([
    tier && keep(context, quotaOf(namespace, quota[tier]), quotaDifference),
    ...[limitsOf(namespace), ...networkPoliciesOf(namespace)].map((wanted) =>
      keep(context, wanted, specDifference),
    ),
  ]);
  return changes.filter((change) => change !== undefined);
}

/** Deletes the bindings whose permission is mapped to another role by now, or to none. */
export async function takeBack(
  context: TenantContext,
  wallet: string,
  bindings: readonly V1RoleBinding[],
): Promise<readonly string[]> {
  const { api, signal } = context;
  const outdated = bindings.filter((binding) => isOutdated(context, wallet, binding));
  for (const { metadata } of outdated) {
    const name = metadata?.name ?? '';
    const namespace = metadata?.namespace ?? '';
    await absentIsFine(
      api.call(
        `take back binding ${namespace}/${name}`,
        (given) => api.rbac.deleteNamespacedRoleBinding({ name, namespace }, given),
        { signal },
      ),
    );
  }
  return outdated.map(({ metadata }) => `removed RoleBinding ${metadata?.name}`);
}

export function isOutdated({ options }: TenantContext, wallet: string, binding: V1RoleBinding): boolean {
  const permission = permissionOfBinding(wallet, binding);
  return permission !== undefined && options.roleOf(permission) !== binding.roleRef.name;
}

/** What to write in place of an object that is there; `undefined`: it is as wanted. */
type Difference = (found: KubernetesObject, wanted: KubernetesObject) => KubernetesObject | undefined;

/** Makes an object, or makes it as it is to be; resolves with what was done, `undefined` for nothing. */
export async function keep(
  context: TenantContext,
  wanted: KubernetesObject,
  difference: Difference,
): Promise<string | undefined> {
  const found = await readObject(context, wanted);
  const next = found ? difference(found, wanted) : wanted;
  return next && writeObject(context, next, found);
}

/** Changes an object if it is there. */
export async function change(
  context: TenantContext,
  named: KubernetesObject,
  difference: Difference,
): Promise<string | undefined> {
  const found = await readObject(context, named);
  const next = found && difference(found, named);
  // What is read as one of many has no kind of its own.
  const { apiVersion = '', kind = '' } = named;
  return next && writeObject(context, Object.assign({}, next, { apiVersion, kind }), found);
}

function readObject(
  { api, signal }: TenantContext,
  wanted: KubernetesObject,
): Promise<KubernetesObject | undefined> {
  const verbs = verbsOf(api, wanted.kind ?? '');
  const what = `read ${describeObject(wanted)}`;
  return absentIsFine(api.call(what, (given) => verbs.read(wanted, given), { signal }));
}

async function writeObject(
  { api, signal }: TenantContext,
  next: KubernetesObject,
  found: KubernetesObject | undefined,
): Promise<string | undefined> {
  const what = describeObject(next);
  const verbs = verbsOf(api, next.kind ?? '');
  try {
    // The version that was read must still be the newest.
    const resourceVersion = found?.metadata?.resourceVersion;
    const body = withMetadata(next, resourceVersion === undefined ? {} : { resourceVersion });
    const action = found ? 'replace' : 'create';
    await api.call(`${action} ${what}`, (given) => verbs[action](body, given), { signal });
    return `${found ? 'changed' : 'made'} ${what}`;
  } catch (error) {
    // Another gateway does the same at this moment.
    if (isConflict(error)) return undefined;
    throw error;
  }
}

/** The same object with other metadata in part. */
export function withMetadata(object: KubernetesObject, change: V1ObjectMeta): KubernetesObject {
  return Object.assign({}, object, { metadata: Object.assign({}, object.metadata, change) });
}

const specOf = (object: KubernetesObject) => (object as { readonly spec?: unknown }).spec;

/** The labels of others stay. */
function withLabels(found: KubernetesObject, wanted: KubernetesObject): KubernetesObject {
  return withMetadata(wanted, { labels: { ...found.metadata?.labels, ...wanted.metadata?.labels } });
}

const hasLabels = ({ metadata }: KubernetesObject, wanted: KubernetesObject): boolean =>
  Object.entries(wanted.metadata?.labels ?? {}).every(([name, value]) => metadata?.labels?.[name] === value);

export const specDifference: Difference = (found, wanted) =>
  hasLabels(found, wanted) && isSameSpec(specOf(found), specOf(wanted))
    ? undefined
    : withLabels(found, wanted);

export const quotaDifference: Difference = (found, wanted) => {
  const [now, then] = [found as V1ResourceQuota, wanted as V1ResourceQuota];
  const isSame = isSameQuantities(now.spec?.hard, then.spec?.hard ?? {});
  return isSame && hasLabels(found, wanted) ? undefined : withLabels(found, wanted);
};

export const bindingDifference: Difference = (found, wanted) =>
  isSameSpec((found as V1RoleBinding).subjects, (wanted as V1RoleBinding).subjects)
    ? undefined
    : withLabels(found, wanted);

/**
 * A login makes a namespace whose end was announced an ordinary one again.
 * @throws `DAAS_TENANT_NAMESPACE_TAKEN`.
 */
export const namespaceDifference: Difference = (found, wanted) => {
  const { labels = {}, annotations = {}, name } = found.metadata ?? {};
  const { labels: ownLabels = {}, annotations: ownAnnotations = {} } = wanted.metadata ?? {};
  if (labels[TENANT_OWNER] !== ownLabels[TENANT_OWNER])
    throw new ConfigurationError(
      'DAAS_TENANT_NAMESPACE_TAKEN',
      `the namespace ${name} is there and has not the label ${TENANT_OWNER} of its wallet: delete it, or set the label if it is the wallet's`,
    );
  const records = recordsAfter(annotations[TENANT_RECORDS], ownAnnotations[TENANT_RECORDS] ?? '');
  const { [TENANT_ENDED]: _ended, [TENANT_KEPT_UNTIL]: _kept, ...others } = annotations;
  const next = { ...others, ...ownAnnotations, [TENANT_RECORDS]: records };
  if (hasLabels(found, wanted) && isSameSpec(annotations, next)) return undefined;
  const changed = withMetadata(found, { labels: { ...labels, ...ownLabels }, annotations: next });
  return Object.assign(changed, { apiVersion: 'v1', kind: 'Namespace' });
};
