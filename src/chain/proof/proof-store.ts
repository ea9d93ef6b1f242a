import type { CertifiedCheckpoint } from './certificate.ts';
import type { TransactionProof } from './transaction-proof.ts';
import type { TrustAnchors, TrustPin } from './trust-pin.ts';

/** The way from a trust pin to the newest committee that was followed to. */
export interface KeptSteps {
  /** What the pin is the digest of. */
  readonly pinned: Uint8Array;
  /** The last checkpoint of each epoch since, ascending; each was verified before it was kept. */
  readonly steps: readonly CertifiedCheckpoint[];
}

/** The newest proven version of an object. */
export interface KeptProof {
  readonly version: bigint;
  /** When it was proven, ms since the epoch. */
  readonly provenAtMs: number;
  readonly proof: TransactionProof;
}

/**
 * What a program remembers of proofs from one start to the next. A write that fails is no reason to decide anything else:
 * it is said by `failure`, and the next start proves again.
 */
export interface ProofStore extends Disposable {
  /** `undefined` when nothing is kept of this pin. */
  steps(pin: TrustPin): KeptSteps | undefined;
  /** Starts from a pin; what was kept of another pin is dropped. */
  begin(pin: TrustPin, pinned: Uint8Array): void;
  addStep(step: CertifiedCheckpoint): void;
  proof(objectId: string): KeptProof | undefined;
  /** Never replaces a newer version by an older one. */
  keepProof(objectId: string, kept: KeptProof): void;
  /** What was believed at the first start without a trust pin. */
  firstUse(): TrustAnchors | undefined;
  keepFirstUse(anchors: TrustAnchors): void;
  /** The evidence that two checkpoints of one height are signed: nothing of this chain is believed from then on. */
  fork(): string | undefined;
  keepFork(evidence: string): void;
  /** Why the last write failed. */
  failure(): string | undefined;
}
