export { base58OfId, idOfBase58 } from './base58.ts';
export { type Cluster, type ClusterOptions, openCluster } from './cluster.ts';
export { type GatewayIdentity, usernameOf } from './gateway-rights.ts';
export { type KubeApiOptions, type KubeconfigSource, KubeStatusError } from './kube-api.ts';
export {
  admittedNamesMap,
  gatewaySecretsPolicy,
  isSameSpec,
  nodeMarksPolicy,
  nodeNamesPolicy,
  type PolicyPair,
} from './policy.ts';
export type { PolicyState } from './policy-state.ts';
export {
  namesToList,
  type SetupChange,
  type SetupOptions,
  type SetupResult,
  setupCluster,
} from './setup.ts';
export {
  ADMITTED_CONFIG_MAP,
  BOOTSTRAP_TOKEN_TYPE,
  EVICTED_TAINT,
  NODE_MARK,
  NODE_PASSWORD_TYPE,
  STAKED_TAINT,
  SYSTEM_NAMESPACE,
} from './words.ts';
