import { DaasError } from '#base';

/**
 * Why a proof does not hold. `incomplete`: a node did not bring all of it. `malformed`, `too-large`: bytes that cannot be one. `unknown-format`: certified bytes that
 * this version cannot read, so it has to be updated. All others name the link that is broken.
 */
export type ProofReason =
  | 'malformed'
  | 'incomplete'
  | 'too-large'
  | 'unknown-format'
  | 'committee-invalid'
  | 'committee-unknown'
  | 'pin-mismatch'
  | 'wrong-epoch'
  | 'bitmap-invalid'
  | 'no-quorum'
  | 'signature-invalid'
  | 'fork'
  | 'not-end-of-epoch'
  | 'contents-mismatch'
  | 'transaction-missing'
  | 'effects-mismatch'
  | 'events-mismatch'
  | 'object-mismatch'
  | 'object-not-written'
  | 'transaction-failed';

/** A proof about the chain that does not hold; `reason` says at which link. */
export class ProofError extends DaasError {
  override readonly name: string = 'ProofError';
  readonly reason: ProofReason;

  constructor(reason: ProofReason, message: string, options: { cause?: unknown } = {}) {
    const code = reason === 'unknown-format' ? 'DAAS_PROOF_UNKNOWN_FORMAT' : 'DAAS_PROOF_INVALID';
    super(code, message, { ...options, details: { reason } });
    this.reason = reason;
  }
}
