const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A node id is a Kubernetes node name of one lower-case DNS label (RFC 1123, at most 63 characters, no dots): dots
 * would let one name look like a part of another in the names that are derived from it.
 */
export function isNodeId(text: string): boolean {
  return label.test(text);
}

/** Names under which `setup` tries the policies out; no Node has one. */
const CANARY = /^k3s-daas-canary-[0-9a-f]{12}$/;

export const canaryName = (twelveHexDigits: string): string => `k3s-daas-canary-${twelveHexDigits}`;
export const isCanaryName = (name: string): boolean => CANARY.test(name);
