/** Who a request comes from, as the API server's authenticators would say. */
export interface Identity {
  readonly username: string;
  readonly groups: readonly string[];
  /** SHA-256 of the client certificate's DER in hex, as `credential-id` gives it. */
  readonly fingerprint?: string;
}

/** The node name of a kubelet's identity: user `system:node:<name>` in group `system:nodes`. */
export function nodeNameOf({ username, groups }: Identity): string | undefined {
  const prefix = 'system:node:';
  return groups.includes('system:nodes') && username.startsWith(prefix)
    ? username.slice(prefix.length)
    : undefined;
}
