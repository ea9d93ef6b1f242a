export {
  bodyDigest,
  LONGEST_NONCE,
  LONGEST_PROOF,
  LONGEST_PROOF_LIFE_MS,
  MACHINE_CLAIMS,
  type Machine,
  ObjectId,
  PROOF_CLOCK_LEEWAY_MS,
  PROOF_HEADER,
  PROOF_PREFIX,
} from './claims.ts';
export {
  certificateFingerprint,
  isSignedByCertificate,
  type KubeletStatement,
  kubeletStatement,
} from './kubelet-statement.ts';
export { type LoginParseOutcome, type ParsedLogin, parseLogin } from './login-proof.ts';
export {
  examineLogin,
  examinePerson,
  type LoginReason,
  type PersonReason,
  permissionsNow,
  tierOf,
} from './login-verdict.ts';
export { type NodeKey, nodeKeyFromSeed, openNodeKey, readNodeKey, readNodePublicKey } from './node-key.ts';
export { type NodeKeys, openNodeKeys, successorPath } from './node-keys.ts';
export { hashNodePassword, isNodePassword, isNodePasswordHash, openNodePassword } from './node-password.ts';
export {
  createKnownProofHeaders,
  type FormReason,
  isSignedBy,
  type KnownProofHeaders,
  type ParsedProof,
  type ParseOutcome,
  parseProof,
} from './proof.ts';
export { createPublicKeys } from './public-keys.ts';
export type { KeySealer, Sealed } from './sealed-key.ts';
export {
  createProofSigner,
  openNodeIdentity,
  type ProofFreshness,
  type ProofRequest,
  type ProofSigner,
} from './signer.ts';
export {
  type ChainFacts,
  endedStake,
  examineHolder,
  examineStake,
  examineTarget,
  examineTimes,
  type FreshnessReason,
  type ProofTarget,
  type SignatureReason,
  type StakeReason,
  type TargetReason,
  type TimeReason,
  type VerdictReason,
} from './verdict.ts';
