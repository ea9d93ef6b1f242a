import type { V1PolicyRule, V1Role, V1RoleBinding } from '@kubernetes/client-node';
import { isOperatorsName, RESERVED, type Vouch } from '#domain';
import { namespaceOfName } from './name-shards.ts';
import { MANAGED_BY, OURS } from './words.ts';

/**
 * How a node name is listed: by one Role, which the policies ask about by `authorizer…check(…)`, and the RoleBinding that
 * gives it to the identities of that node. No such resource exists; RBAC needs none.
 */
export const NAMES_GROUP = 'k3s-daas.io';
/** Names: the listings that this node name has; verb `hold`. */
export const LISTINGS = 'listings';
/** Names: the node name. `hold`: it is listed. `register`, `annotate`: with any certificate, or none. */
export const NODE_NAMES = 'nodenames';
/**
 * Names: `<node name>.<fingerprint>`. `register`: makes the Node. `annotate`: writes flannel's annotations. `write`: every
 * other write of the kubelet; without names, any certificate does. `write-without-certificate`: the caller shows none.
 */
export const CERTIFICATES = 'certificates';

const LISTING_LABEL = 'k3s-daas.io/listing';
const rbac = 'rbac.authorization.k8s.io';

/** What the policies know of a node name. */
export interface ListedName {
  readonly name: string;
  /** Of `#domain`, admitted-names.ts: a tier, `untainted`, or one of the operator's three. */
  readonly listing: string;
  /** The certificates that count; `undefined`: any, since the cluster shows the policies none, or by the operator's word. */
  readonly vouches: readonly Vouch[] | undefined;
  /** Every write demands a vouched certificate, not only the creation of the Node. */
  readonly isContested: boolean;
}

const ours = (
  resource: string,
  verbs: readonly string[],
  resourceNames: readonly string[] | undefined,
): V1PolicyRule => ({
  apiGroups: [NAMES_GROUP],
  resources: [resource],
  verbs: [...verbs],
  ...(resourceNames && { resourceNames: [...resourceNames] }),
});

const anyCertificate = ours(CERTIFICATES, ['write', 'write-without-certificate'], undefined);

function rulesOf({ name, listing, vouches, isContested }: ListedName): V1PolicyRule[] {
  const listed = [ours(LISTINGS, ['hold'], [listing])];
  if (listing === RESERVED)
    return [...listed, ours(NODE_NAMES, ['hold', 'annotate'], [name]), anyCertificate];
  if (isOperatorsName(listing) || vouches === undefined)
    return [...listed, ours(NODE_NAMES, ['hold', 'register', 'annotate'], [name]), anyCertificate];
  const named = (identity: Vouch['identity']) =>
    vouches
      .filter((vouch) => vouch.identity === identity)
      .map(({ fingerprint }) => `${name}.${fingerprint}`)
      .sort();
  const [kubelets, controllers] = [named('kubelet'), named('k3s-controller')];
  return [
    ...listed,
    // A worker that has shown nothing yet was carried over from before certificates counted: its network must come up.
    ours(NODE_NAMES, vouches.length === 0 ? ['hold', 'annotate'] : ['hold'], [name]),
    // No names means all names: without a certificate there is no rule.
    ...(kubelets.length > 0 ? [ours(CERTIFICATES, ['register'], kubelets)] : []),
    ...(controllers.length > 0 ? [ours(CERTIFICATES, ['annotate'], controllers)] : []),
    ...(!isContested ? [ours(CERTIFICATES, ['write'], undefined)] : []),
    ...(isContested && kubelets.length > 0 ? [ours(CERTIFICATES, ['write'], kubelets)] : []),
  ];
}

const metadataOf = (name: string, labels: Record<string, string> = {}) => ({
  name,
  namespace: namespaceOfName(name),
  labels: { [MANAGED_BY]: OURS, ...labels },
});

export function roleOfName(listed: ListedName): V1Role {
  return {
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    // For people and selectors; what counts are the rules.
    metadata: metadataOf(listed.name, { [LISTING_LABEL]: listed.listing }),
    rules: rulesOf(listed),
  };
}

/** Bound to the node's own kubelet, and to the identity that all agents share: its rules name node and certificate. */
export function bindingOfName(name: string): V1RoleBinding {
  return {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: metadataOf(name),
    roleRef: { apiGroup: rbac, kind: 'Role', name },
    subjects: [`system:node:${name}`, 'system:k3s-controller'].map((user) => ({
      kind: 'User',
      apiGroup: rbac,
      name: user,
    })),
  };
}

/** The listing that a Role gives; `undefined` for a Role that lists no name, such as the gateway's own. */
export function listingOfRole({ rules }: V1Role): string | undefined {
  const rule = rules?.find(
    ({ apiGroups, resources, resourceNames }) =>
      apiGroups?.[0] === NAMES_GROUP && resources?.[0] === LISTINGS && resourceNames?.length === 1,
  );
  return rule?.resourceNames?.[0];
}

/** An operator's listing, in which certificates play no part. */
export const operatorsListing = (name: string, listing: string): ListedName => ({
  name,
  listing,
  vouches: undefined,
  isContested: false,
});
