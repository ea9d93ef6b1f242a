export { collectProof, currentPin, type Nodes } from './collect.ts';
export { ProofError } from './proof-error.ts';
export { formatProofFile, type ProofDocument, parseProofFile, verifyProofDocument } from './proof-file.ts';
export { createProver, type ObjectVersion, type Prover } from './prover.ts';
export type { ProvenObject, ProvenTransaction } from './transaction-proof.ts';
export { formatPin, parsePin, type TrustPin } from './trust-pin.ts';
