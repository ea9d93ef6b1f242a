import type { GatewayTier } from './chain-facts.ts';

/** Somebody with rights of their own in the cluster, as their namespace is to be. */
export interface Tenant {
  readonly wallet: string;
  readonly tier: GatewayTier;
  /** The stake record whose login was seen. */
  readonly recordId: string;
  /** What each permission is worth in the namespace: the name of a ClusterRole. */
  readonly roles: ReadonlyArray<{ readonly permission: string; readonly role: string }>;
}

/** A namespace of a wallet, as it is in the cluster. */
export interface TenantNamespace {
  readonly wallet: string;
  readonly namespace: string;
  /** The stake records whose logins were seen. */
  readonly recordIds: readonly string[];
  /** Since when none of them counts any more, as far as it was announced. */
  readonly endedAtMs: number | undefined;
  /** Until when the namespace is kept after that. */
  readonly keptUntilMs: number | undefined;
}

/** Keeps the namespaces of people. */
export interface TenantKeeper {
  /**
   * Makes the namespace and what limits it as they are to be, and a binding for each permission; takes away bindings to a role
   * that the permission is not mapped to any more. Rights that the stake has lost need no change: a binding is to a group that
   * its owner then is not in. Idempotent. Resolves with what was made or changed.
   * @throws `DAAS_CLUSTER_UNAVAILABLE` (retryable), `DAAS_TENANT_NAMESPACE_TAKEN`, and what the API server refused.
   */
  ensure(tenant: Tenant, signal?: AbortSignal): Promise<readonly string[]>;
  /** The same for all namespaces that are there: a handful of lists, then only what differs. */
  refresh(
    signal?: AbortSignal,
  ): Promise<{ readonly namespaces: readonly TenantNamespace[]; readonly changes: readonly string[] }>;
  /** Writes on the namespace, and as an Event in it, that its stake has ended and until when it is kept. */
  announceEnd(
    end: {
      readonly wallet: string;
      readonly endedAtMs: number;
      readonly keptUntilMs: number;
      readonly isRemoved: boolean;
    },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Deletes a namespace whose end was announced, unless a login has ended that; resolves with whether it did. */
  remove(wallet: string, signal?: AbortSignal): Promise<boolean>;
}

/**
 * The group in which a wallet is while it has a permission, and nobody else: what the bindings of its namespace name. The groups
 * `seal:perm:…` are everybody's who has the permission, so a binding to one of them would open the namespace to all.
 */
export function ownGroup(wallet: string, permission: string): string {
  return `seal:own:${wallet}:${permission}`;
}
