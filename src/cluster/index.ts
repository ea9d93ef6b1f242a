export {
  AUTHORIZATION_FILE,
  type AuthorizationOptions,
  authorizationFiles,
  hasBannedNames,
  NOWHERE_FILE,
} from './authorization-configuration.ts';
export type { ServerAuthorization } from './authorization-proof.ts';
export { base58OfId, idOfBase58 } from './base58.ts';
export { type GatewayIdentity, usernameOf } from './gateway-rights.ts';
export { keeperPolicy } from './keeper-policy.ts';
export { type KubeApiOptions, type KubeconfigSource, KubeStatusError } from './kube-api.ts';
export { type Kubernetes, type KubernetesOptions, openKubernetes } from './kubernetes.ts';
export { CERTIFICATES, LISTINGS, listingOfRole, NAMES_GROUP, NODE_NAMES } from './name-role.ts';
export { nameNamespaces, namespaceOfName } from './name-shards.ts';
export { canaryProbes, drawCanary, nodePolicies, policyProbes } from './node-policies.ts';
export {
  kubercLines,
  mergeKubeconfig,
  type PersonAccess,
  personKubeconfig,
} from './person-kubeconfig.ts';
export { roleOfPermission } from './person-roles.ts';
export { gatewaySecretsPolicy, nodeMarksPolicy, nodeNamesPolicy, nodeWritesPolicy } from './policy.ts';
export { isSameSpec, type PolicyPair } from './policy-pair.ts';
export type { PolicyState } from './policy-state.ts';
export { type RemovalOptions, removeSetup } from './removal.ts';
export {
  ADDRESS_HOLDER,
  ADDRESS_SOURCES,
  ADDRESSES,
  MOST_NEW_ADDRESSES,
  PLAIN_IPV4,
  PLAIN_IPV6,
} from './reported-addresses.ts';
export { dropInConflicts, SERVER_DROP_IN, serverDropIn } from './server-drop-in.ts';
export { type SetupChange, type SetupOptions, type SetupResult, setupCluster } from './setup.ts';
export { setupManifests } from './setup-manifests.ts';
export { namesToList } from './setup-names.ts';
export {
  ADDRESS_KEYS,
  FLANNEL_KEYS,
  FLANNEL_VALUE_LIMIT,
  SHARED_IDENTITIES,
  sharedIdentitiesPolicy,
} from './shared-identities-policy.ts';
export { openStakedNodes } from './staked-nodes.ts';
export { openStateObjects } from './state-objects.ts';
export type { TenantOptions } from './tenant-keeping.ts';
export { tenantPolicies } from './tenant-policies.ts';
export { KEEPER_USER } from './tenant-rights.ts';
export { PLACEMENTS, POD_SECURITY_LEVELS, type TenantTerms } from './tenant-terms.ts';
export { openTenants } from './tenants.ts';
export {
  TOKEN_REVIEW_FILE,
  type TokenReviewAddress,
  tokenReviewFlags,
  tokenReviewKubeconfig,
} from './token-review-kubeconfig.ts';
export {
  ADMITTED_CONFIG_MAP,
  BOOTSTRAP_TOKEN_TYPE,
  EVICTED_TAINT,
  NODE_MARK,
  NODE_PASSWORD_TYPE,
  STAKED_TAINT,
  STATE_LEASE,
  STATE_NAMESPACE,
  STATE_TYPE,
  SYSTEM_NAMESPACE,
  TENANT_OWNER,
} from './words.ts';
export { workerNodesPolicy } from './worker-nodes-policy.ts';
