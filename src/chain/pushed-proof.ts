import { normalizeStructTag, normalizeSuiAddress } from '@mysten/sui/utils';
import { isOfCluster } from './contract-objects.ts';
import type { Deployment } from './deployment.ts';
import type { ObjectProofs } from './object-proofs.ts';
import type { ProvenObject, TransactionProof } from './proof/index.ts';

/**
 * Takes a proof file that somebody brought. Only objects of this cluster count, and only what is newer than
 * what is known is verified: the pairing comes last.
 * @returns the ids of the objects that are newer.
 * @throws `DAAS_PROOF_INVALID`, `DAAS_PROOF_UNKNOWN_FORMAT`, `DAAS_CHAIN_FORK`.
 */
export async function takeProof(
  proofs: ObjectProofs,
  deployment: Deployment,
  text: string,
): Promise<readonly string[]> {
  const { parseProofFile, readObjects } = await import('./proof/index.ts');
  const { transaction } = parseProofFile(text);
  // All at once: to read a proof anew for each of its objects would let a forged one hold the program for a minute.
  const read = readObjects(transaction);
  const objects = transaction.objects.filter((_bytes, index) => {
    const object = read[index];
    return object && isOurs(object, deployment) && isNewer(object, proofs);
  });
  if (objects.length === 0) return [];
  const taken: TransactionProof = { ...transaction, objects };
  return (await proofs.accept(taken)).map(({ id }) => id);
}

function isOurs({ type, contents }: ProvenObject, { packageId, clusterId }: Deployment): boolean {
  if (type === undefined || !type.includes('::')) return false;
  const cluster = { packageId: normalizeSuiAddress(packageId), clusterId: normalizeSuiAddress(clusterId) };
  return isOfCluster(cluster, normalizeStructTag(type), contents);
}

const isNewer = ({ id, version }: ProvenObject, proofs: ObjectProofs) =>
  version > (proofs.newest(id)?.version ?? 0n);
