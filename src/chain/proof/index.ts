export { collectProof, currentPin, type Nodes } from './collect.ts';
export { agreedPin, anchorsOnFirstUse } from './first-use.ts';
export { type KeptSource, keptDocument } from './kept-document.ts';
export { createPairing, type Pairing } from './pairing.ts';
export { ProofError } from './proof-error.ts';
export { formatProofFile, type ProofDocument, parseProofFile, verifyProofDocument } from './proof-file.ts';
export type { KeptProof, ProofStore } from './proof-store.ts';
export {
  createProver,
  type ObjectVersion,
  type Proven,
  type Prover,
  readObjects,
  readProof,
} from './prover.ts';
export type { ProvenObject, ProvenTransaction, TransactionProof } from './transaction-proof.ts';
export { fingerprintOf, formatPin, parsePin, type TrustAnchors, type TrustPin } from './trust-pin.ts';
