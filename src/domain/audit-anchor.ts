/** A line of a gateway's audit file, which stands for all before it. */
export interface AuditHead {
  readonly sequence: number;
  /** SHA-256 of the line, 64 hex digits. */
  readonly hash: string;
  /** By the clock of the gateway, which the lines have too. */
  readonly atMs: number;
}

/** One that a transaction of the gateway's probe wallet says, signed by that wallet. */
export interface AuditAnchor extends AuditHead {
  /** Of the transaction. */
  readonly digest: string;
}

/** The newest by the gateway's clock: after a restore that the operator has accepted, sequences begin anew. */
export function newestAnchor(anchors: readonly AuditAnchor[]): AuditAnchor | undefined {
  return anchors.reduce<AuditAnchor | undefined>(
    (newest, anchor) => (newest && !isNewer(anchor, newest) ? newest : anchor),
    undefined,
  );
}

function isNewer(one: AuditAnchor, other: AuditAnchor): boolean {
  return one.atMs === other.atMs ? one.sequence > other.sequence : one.atMs > other.atMs;
}

/** What probes carry, as the gateway gives it. */
export interface AuditCargo {
  /** The newest line that is on disk for certain; rejects while none is. */
  head(): Promise<AuditHead>;
  /** Called once a probe with a head was executed. */
  anchored(anchor: AuditAnchor): void;
}
