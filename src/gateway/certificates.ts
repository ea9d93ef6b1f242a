import type { WorkerIdentity } from '#domain';

/** A client certificate that a host has shown and the gateway has examined. */
export interface ShownCertificate {
  readonly identity: WorkerIdentity;
  /** SHA-256 over the DER, 64 lower-case hex digits. */
  readonly fingerprint: string;
  readonly notAfterMs: number;
}

/** Two sets at most: a worker that starts anew has new certificates, and its old ones count until the Node is Ready. */
export interface Certificates {
  /** On which the Node was Ready. */
  readonly confirmed: readonly ShownCertificate[];
  /** Newer than that, until the Node is Ready on them. */
  readonly shown: readonly ShownCertificate[];
  readonly shownAtMs: number | undefined;
}

export const noCertificates: Certificates = { confirmed: [], shown: [], shownAtMs: undefined };

/** After a set was shown: it takes the place of a newer one that was never Ready. The confirmed set shown again ends it. */
export function afterShowing(
  before: Certificates,
  set: readonly ShownCertificate[],
  nowMs: number,
): Certificates {
  if (isSameSet(before.shown, set)) return before;
  if (isSameSet(before.confirmed, set))
    return before.shown.length === 0 ? before : { ...before, shown: [], shownAtMs: undefined };
  return { confirmed: before.confirmed, shown: set, shownAtMs: nowMs };
}

/** The Node is Ready on the newer set: the older one counts no longer. */
export function afterReady({ shown }: Certificates): Certificates {
  return { confirmed: shown, shown: [], shownAtMs: undefined };
}

function isSameSet(one: readonly ShownCertificate[], other: readonly ShownCertificate[]): boolean {
  const known = new Set(one.map(({ fingerprint }) => fingerprint));
  return one.length === other.length && other.every(({ fingerprint }) => known.has(fingerprint));
}
