import type { ProofDocument } from './proof-file.ts';
import type { ProofStore } from './proof-store.ts';
import type { TransactionProof } from './transaction-proof.ts';
import type { TrustPin } from './trust-pin.ts';
import { readSummary } from './wire.ts';

/** Where the proof comes from: a store, and what it is followed from. */
export interface KeptSource {
  readonly store: Pick<ProofStore, 'steps'>;
  readonly chainId: string;
  readonly pin: TrustPin;
}

/**
 * A proof that was kept, with the committees from the pin to its time: all that convinces a third party. `undefined`: the
 * committees of this pin are not kept.
 */
export function keptDocument(
  { store, chainId, pin }: KeptSource,
  transaction: TransactionProof,
): ProofDocument | undefined {
  const kept = store.steps(pin);
  if (!kept) return undefined;
  const epoch = epochOf(transaction.summary);
  const committees = kept.steps.filter(({ summary }) => epochOf(summary) < epoch);
  return { chainId, pin, pinned: kept.pinned, committees, transaction };
}

const epochOf = (summary: Uint8Array) => BigInt(readSummary(summary).epoch);
