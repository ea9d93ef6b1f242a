import { normalizeSuiAddress } from '@mysten/sui/utils';
import { tokenFacts } from './contract-objects.ts';
import type { Deployment } from './deployment.ts';
import type { ObjectProofs } from './object-proofs.ts';
import type { ProofStore } from './proof/index.ts';

/** Where kept proofs are. */
interface Kept {
  readonly deployment: Deployment;
  readonly proofs: ObjectProofs | undefined;
  readonly store: ProofStore | undefined;
}

/**
 * The newest proven versions of a token and of its stake record, as proof files. They carry no committees: a gateway has followed
 * them itself. None, where nothing is kept.
 */
export async function stakeProofs(
  { deployment: { chainId, trust }, proofs, store }: Kept,
  tokenId: string,
): Promise<readonly string[]> {
  const pin = trust ?? store?.firstUse()?.trust;
  const token = proofs?.newest(tokenId);
  if (!store || !token || !pin) return [];
  const { formatProofFile } = await import('./proof/index.ts');
  const ids = [tokenId, tokenFacts(token.content).stakeId];
  return ids.flatMap((id) => {
    const kept = store.proof(normalizeSuiAddress(id));
    return kept
      ? [formatProofFile({ chainId, pin, pinned: new Uint8Array(), committees: [], transaction: kept.proof })]
      : [];
  });
}
