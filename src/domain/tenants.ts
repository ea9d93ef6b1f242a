import type { GatewayTier } from './chain-facts.ts';

/** Somebody with rights of their own in the cluster, as their namespace is to be. */
export interface Tenant {
  readonly wallet: string;
  readonly tier: GatewayTier;
  /** What each permission is worth in the namespace: the name of a ClusterRole. */
  readonly roles: ReadonlyArray<{ readonly permission: string; readonly role: string }>;
}

/** Keeps the namespaces of people. */
export interface TenantKeeper {
  /**
   * Makes what is missing of the namespace: itself, its quota, its network policies, and a binding for each permission. Rights
   * that are lost need no change: a binding is to a group that its owner then is not in. Idempotent. Resolves with what was made.
   * @throws `DAAS_CLUSTER_UNAVAILABLE` (retryable), and what the API server refused.
   */
  ensure(tenant: Tenant, signal?: AbortSignal): Promise<readonly string[]>;
}

/**
 * The group in which a wallet is while it has a permission, and nobody else: what the bindings of its namespace name. The groups
 * `seal:perm:…` are everybody's who has the permission, so a binding to one of them would open the namespace to all.
 */
export function ownGroup(wallet: string, permission: string): string {
  return `seal:own:${wallet}:${permission}`;
}
