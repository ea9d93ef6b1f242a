import type { V1Role } from '@kubernetes/client-node';
import { ConfigurationError, DaasError } from '#base';
import { type AdmittedName, isOperatorsName } from '#domain';
import { absentIsFine, isConflict, isNotFound, type KubeApi, type KubeStatusError } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { bindingOfName, type ListedName, listingOfRole, operatorsListing, roleOfName } from './name-role.ts';
import { nameNamespaces, namespaceOfName } from './name-shards.ts';
import { isSameSpec } from './policy-pair.ts';

type Signal = AbortSignal | undefined;

/** What a change of the list needs, be it the gateway's or setup's. */
type NamesContext = Pick<KubernetesContext, 'api' | 'clock' | 'showsCertificates'>;

/** How a name is to be listed, by how it is now; `undefined`: not at all. `unchanged` leaves it. */
type Relisting = (current: string | undefined) => ListedName | 'unchanged' | undefined;

const mostAttempts = 20;

/** The listings of all names: one list of Roles a namespace, so that no answer of thousands is parsed at once. */
export async function readAdmittedNames(
  { api }: Pick<KubernetesContext, 'api'>,
  signal: Signal,
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const namespace of nameNamespaces()) {
    const { items } = await api.call(
      'list the admitted names',
      (given) => api.rbac.listNamespacedRole({ namespace }, given),
      { signal },
    );
    for (const role of items) {
      const [name, listing] = [role.metadata?.name ?? '', listingOfRole(role)];
      if (listing !== undefined) names.set(name, listing);
    }
  }
  return names;
}

/** The listing of one name; `undefined` when it is not listed. */
export async function readAdmittedName(
  { api }: Pick<KubernetesContext, 'api'>,
  name: string,
  signal: Signal,
): Promise<string | undefined> {
  const role = await readNameRole(api, name, signal);
  return role && listingOfRole(role);
}

/**
 * Lists a staked name, or changes which of its certificates count: two small writes for a new name, one for a listed one.
 * @throws `DAAS_NAME_RESERVED` for a name of the operator's, `DAAS_CLUSTER_NOT_SET_UP`.
 */
export async function admitName(
  context: NamesContext,
  { nodeId, tier, vouches, isContested = false }: AdmittedName,
  signal: Signal,
): Promise<void> {
  // An API server that shows the policies no certificate must not be asked for one.
  const counted = (await context.showsCertificates(signal)) ? vouches : undefined;
  const wanted: ListedName = { name: nodeId, listing: tier, vouches: counted, isContested };
  await changeListing(context, nodeId, (current) => stakedListing(nodeId, current, wanted), signal);
}

/**
 * Takes a staked name off the list; resolves with whether it was there.
 * @throws `DAAS_NAME_RESERVED` for a name of the operator's.
 */
export function removeName(context: NamesContext, nodeId: string, signal: Signal): Promise<boolean> {
  return changeListing(context, nodeId, (current) => stakedListing(nodeId, current, undefined), signal);
}

/** Changes the listing of a name if it is `from` now; resolves with whether it was. */
export function relistName(
  context: NamesContext,
  { name, from, to }: { readonly name: string; readonly from: string; readonly to: string },
  signal: Signal,
): Promise<boolean> {
  const next: Relisting = (current) => (current === from ? operatorsListing(name, to) : 'unchanged');
  return changeListing(context, name, next, signal);
}

/** Lists a name of the operator's, however it was listed before. */
export function listOperatorsName(
  context: NamesContext,
  { name, listing }: { readonly name: string; readonly listing: string },
  signal: Signal,
): Promise<boolean> {
  return changeListing(context, name, () => operatorsListing(name, listing), signal);
}

/** Lists a name as the first version's ConfigMap did, unless it is listed already. */
export function carryOverName(
  context: NamesContext,
  { name, listing }: { readonly name: string; readonly listing: string },
  signal: Signal,
): Promise<boolean> {
  const carried: ListedName = isOperatorsName(listing)
    ? operatorsListing(name, listing)
    : { name, listing, vouches: [], isContested: false };
  return changeListing(context, name, (current) => (current === undefined ? carried : 'unchanged'), signal);
}

function stakedListing(nodeId: string, current: string | undefined, wanted: ListedName | undefined) {
  if (current !== wanted?.listing && isOperatorsName(current)) throw reservedName(nodeId, current);
  return wanted;
}

/** Resolves with whether the listing of this name changed. What others write to the list stays. */
async function changeListing(
  { api, clock }: NamesContext,
  name: string,
  next: Relisting,
  signal: Signal,
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    const role = await readNameRole(api, name, signal);
    const wanted = next(role && listingOfRole(role));
    if (wanted === 'unchanged') return false;
    try {
      return await writeListing(api, { name, role, wanted }, signal);
    } catch (error) {
      if (!isConflict(error) || attempt === mostAttempts) throw error;
      await clock.sleep(Math.ceil(Math.random() * 20 * attempt), signal);
    }
  }
}

interface Rewriting {
  readonly name: string;
  readonly role: V1Role | undefined;
  readonly wanted: ListedName | undefined;
}

/** Each write holds only for the version that was read: an administrator may reserve the name in between. */
async function writeListing(
  api: KubeApi,
  { name, role, wanted }: Rewriting,
  signal: Signal,
): Promise<boolean> {
  if (!wanted) return role ? deleteListing(api, { name, role }, signal) : false;
  const body = roleOfName(wanted);
  const isSame = role !== undefined && isSameSpec(role.rules, body.rules);
  if (!role) await createNameRole(api, body, signal);
  else if (!isSame) await replaceNameRole(api, body, { role, signal });
  await bindName(api, name, signal);
  return !isSame;
}

const placeOf = (name: string) => ({ name, namespace: namespaceOfName(name) });

function readNameRole(api: KubeApi, name: string, signal: Signal): Promise<V1Role | undefined> {
  return absentIsFine(
    api.call(`read the admitted name ${name}`, (given) => api.rbac.readNamespacedRole(placeOf(name), given), {
      signal,
    }),
  );
}

async function createNameRole(api: KubeApi, body: V1Role, signal: Signal): Promise<void> {
  const { name = '', namespace = '' } = body.metadata ?? {};
  await api
    .call(`list the name ${name}`, (given) => api.rbac.createNamespacedRole({ namespace, body }, given), {
      signal,
    })
    .catch(explainMissingSetup);
}

async function replaceNameRole(
  api: KubeApi,
  body: V1Role,
  { role, signal }: { readonly role: V1Role; readonly signal: Signal },
): Promise<void> {
  const { name = '' } = body.metadata ?? {};
  const resourceVersion = role.metadata?.resourceVersion;
  const metadata = Object.assign({}, body.metadata, resourceVersion ? { resourceVersion } : {});
  await api.call(
    `change the admitted name ${name}`,
    (given) =>
      api.rbac.replaceNamespacedRole(
        { ...placeOf(name), body: Object.assign({}, body, { metadata }) },
        given,
      ),
    { signal },
  );
}

/** The binding never changes: it is made where it is missing. */
async function bindName(api: KubeApi, name: string, signal: Signal): Promise<void> {
  const body = bindingOfName(name);
  const { namespace } = placeOf(name);
  const bound = await absentIsFine(
    api.call(
      `read the binding of the name ${name}`,
      (given) => api.rbac.readNamespacedRoleBinding(placeOf(name), given),
      { signal },
    ),
  );
  if (bound) return;
  try {
    await api.call(
      `bind the name ${name}`,
      (given) => api.rbac.createNamespacedRoleBinding({ namespace, body }, given),
      { signal },
    );
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}

/** The Role first: without it the binding gives nothing. */
async function deleteListing(
  api: KubeApi,
  { name, role }: { readonly name: string; readonly role: V1Role },
  signal: Signal,
): Promise<boolean> {
  const { uid, resourceVersion } = role.metadata ?? {};
  const body = { preconditions: { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) } };
  await absentIsFine(
    api.call(
      `take the name ${name} off the list`,
      (given) => api.rbac.deleteNamespacedRole({ ...placeOf(name), body }, given),
      { signal },
    ),
  );
  await absentIsFine(
    api.call(
      `unbind the name ${name}`,
      (given) => api.rbac.deleteNamespacedRoleBinding(placeOf(name), given),
      { signal },
    ),
  );
  return true;
}

function reservedName(nodeId: string, listing: string | undefined): DaasError {
  return new ConfigurationError(
    'DAAS_NAME_RESERVED',
    `the node name ${nodeId} is the operator's, listed as ${listing}: no stake can take or free it. An administrator frees it with 'kubectl -n ${namespaceOfName(nodeId)} delete role,rolebinding ${nodeId}'`,
    { details: { nodeId } },
  );
}

export function explainMissingSetup(error: unknown): never {
  if (!isNotFound(error)) throw error;
  const { details } = error as KubeStatusError;
  throw new DaasError(
    'DAAS_CLUSTER_NOT_SET_UP',
    "the namespaces of the admitted names are missing, so no Node can register: run 'k3s-daas gateway setup'",
    { details, cause: error },
  );
}
