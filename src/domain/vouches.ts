/** The identities of a worker that a client certificate of its k3s agent can carry. */
export type WorkerIdentity = 'kubelet' | 'kube-proxy' | 'k3s-controller';

/**
 * A client certificate that a live stake vouches for. It begins when the worker shows the certificate, and ends by a bad
 * fact, by replacement, leave, ban or eviction, never because the worker is silent.
 */
export interface Vouch {
  readonly nodeId: string;
  readonly identity: WorkerIdentity;
  /** SHA-256 over the DER of the certificate, 64 lower-case hex digits, as in `X509SHA256=…` of the API server. */
  readonly fingerprint: string;
  /** When the certificate itself ends. */
  readonly notAfterMs: number;
}

/** The vouches that count now, held in memory: what the authorizer answers from. */
export interface VouchTable {
  byFingerprint(fingerprint: string): Vouch | undefined;
  ofNode(nodeId: string): readonly Vouch[];
}

/**
 * Why somebody else than the holder of a name may have a living certificate of it. Until it ends, every write under the
 * name demands a vouched certificate.
 */
export type ContestReason =
  /** Another record, staker or node key held the name within the life of a certificate. */
  | 'earlier-holder'
  /** A password Secret of the name was seen that is not the gateway's. */
  | 'claimed'
  /** Password Secrets went unwatched while join credentials lived, or more claims were seen than are remembered. */
  | 'unwatched';
