/** Why a plugin ends the host. The host does what follows (docs/architecture.md, "From slash to lock-out"). */
export type StopCause =
  /** Pods die, the credential is wiped, the latch is written, exit 77. */
  | { readonly kind: 'slashed'; readonly recordId: string; readonly detail: string }
  /** Unbonding, withdrawn, revoked, evicted by the operator: the agent stops, pods with it, no latch, exit 77. */
  | { readonly kind: 'ended'; readonly recordId: string; readonly detail: string }
  /** Asked for on this machine, by `k3s-daas leave`: as for `ended`. */
  | { readonly kind: 'left'; readonly recordId: string; readonly detail: string };
