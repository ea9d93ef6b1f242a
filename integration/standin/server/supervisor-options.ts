import type { Authority } from './authority.ts';
import type { SecretData } from './credentials.ts';
import type { Identity } from './identity.ts';

/**
 * What k3s' supervisor asks of Kubernetes. It does not matter where that lives: in this process, or in a real API
 * server that the supervisor stands in front of.
 */
export interface SupervisorCluster {
  /** A Secret of kube-system, decoded. */
  secret(name: string): Promise<SecretData | undefined>;
  /** Whose bearer token it is, as the API server and its webhook say (TokenReview). */
  review?(token: string): Promise<Identity | undefined>;
  /** Creates the password Secret of a node as k3s does: own type, immutable. Resolves false when it was there already. */
  createNodePassword(secretName: string, hash: string): Promise<boolean>;
  nodeExists(name: string): Promise<boolean>;
}

export interface SupervisorOptions {
  readonly cluster: SupervisorCluster;
  readonly serverCa: Authority;
  readonly clientCa: Authority;
  /** The operator's static token: the password of the users `node` and `server`, as long as no agent token is set. */
  readonly staticPassword: string;
  readonly dataDir: string;
  /** `host:port` of the API servers, as agents are to reach them. */
  readonly apiServers: () => readonly string[];
  readonly nowMs: () => number;
}
