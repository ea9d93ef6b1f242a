import { DaasError, type ErrorCode, EXIT, type ExitCode } from '#base';

/**
 * Why a proof does not hold. `incomplete`: a node did not bring all of it. `malformed`, `too-large`: bytes that cannot be
 * one. `unknown-format`: certified bytes that this version cannot read, so it has to be updated. `fork`: two signed
 * checkpoints of one height. `trust-too-old`: the newest trusted committee is too old to go on from. All others name the
 * link that is broken.
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
  | 'trust-too-old'
  | 'not-end-of-epoch'
  | 'contents-mismatch'
  | 'transaction-missing'
  | 'effects-mismatch'
  | 'events-mismatch'
  | 'object-mismatch'
  | 'object-not-written'
  | 'transaction-failed';

/** Reasons that are not about one proof have codes of their own. */
const CODES: Partial<Record<ProofReason, readonly [ErrorCode, ExitCode]>> = {
  'unknown-format': ['DAAS_PROOF_UNKNOWN_FORMAT', EXIT.unexpected],
  fork: ['DAAS_CHAIN_FORK', EXIT.configuration],
  'trust-too-old': ['DAAS_TRUST_TOO_OLD', EXIT.configuration],
};

/** A proof about the chain that does not hold; `reason` says at which link. */
export class ProofError extends DaasError {
  override readonly name: string = 'ProofError';
  readonly reason: ProofReason;

  constructor(reason: ProofReason, message: string, options: { cause?: unknown } = {}) {
    const [code, exitCode] = CODES[reason] ?? (['DAAS_PROOF_INVALID', EXIT.unexpected] as const);
    super(code, message, { ...options, exitCode, details: { reason } });
    this.reason = reason;
  }
}
