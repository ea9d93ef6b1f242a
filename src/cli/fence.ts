/** Addresses to keep away from the ports of a server. */
export interface FenceState {
  readonly addresses: readonly string[];
}

/** What a fence has kept out, as evidence. */
export interface FenceCounter {
  readonly address: string;
  readonly packets: number;
  readonly bytes: number;
}

/**
 * The plug point of `gateway fence`: what keeps addresses away from this server. nftables is one implementation, a program of the
 * operator's another.
 */
export interface Fence {
  /** Keeps out these addresses and no others; ends connections that they have. Idempotent. */
  apply(state: FenceState): Promise<void>;
  /** What was dropped since each address was fenced; empty where the implementation does not count. */
  counters(): Promise<readonly FenceCounter[]>;
  /** Takes everything back. */
  remove(): Promise<void>;
}
