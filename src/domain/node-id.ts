const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A node id is a Kubernetes node name of one lower-case DNS label (RFC 1123, at most 63 characters, no dots): dots
 * would let one name look like a part of another in the names that are derived from it.
 */
export function isNodeId(text: string): boolean {
  return label.test(text);
}
