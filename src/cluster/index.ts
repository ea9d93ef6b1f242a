export { base58OfId, idOfBase58 } from './base58.ts';
export { type Cluster, type ClusterOptions, openCluster } from './cluster.ts';
export { type KubeApiOptions, type KubeconfigSource, KubeStatusError } from './kube-api.ts';
