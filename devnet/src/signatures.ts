import { parseSerializedSignature } from '@mysten/sui/cryptography';
import { normalizeSuiAddress, toBase64 } from '@mysten/sui/utils';
import { verifyTransactionSignature } from '@mysten/sui/verify';
import type { TransactionDataV1 } from './chain-view.ts';
import { isEd25519, verifyEd25519 } from './ed25519.ts';
import { messageOf } from './errors.ts';
import { invalidArgument, type RpcStatus } from './rpc-error.ts';

/**
 * Checks that the sender, and the sponsor if there is one, signed exactly these bytes. All schemes that can be verified
 * without a node are: Ed25519, Secp256k1, Secp256r1, multisig of them, passkeys.
 * Throws INVALID_ARGUMENT `Invalid user signature: …`.
 */
export async function verifySignatures(
  bytes: Uint8Array,
  data: TransactionDataV1,
  signatures: readonly Uint8Array[],
): Promise<void> {
  const signers = [
    ...new Set([data.sender, data.gasData.owner].map((address) => normalizeSuiAddress(address))),
  ];
  if (signatures.length !== signers.length)
    throw invalidSignature(`Expect ${signers.length} signer signatures but got ${signatures.length}`);
  const remaining = [...signatures];
  for (const signer of signers) {
    const problems: string[] = [];
    const index = await findSignature(bytes, signer, remaining, problems);
    if (index < 0) throw invalidSignature(problems.join('; ') || `no signature of ${signer}`);
    remaining.splice(index, 1);
  }
}

async function findSignature(
  bytes: Uint8Array,
  signer: string,
  signatures: readonly Uint8Array[],
  problems: string[],
): Promise<number> {
  for (const [index, signature] of signatures.entries()) {
    try {
      if (isEd25519(signature)) {
        if (verifyEd25519(bytes, signature, signer)) return index;
        throw new Error(`the signature is not valid for ${signer}`);
      }
      const serialized = toBase64(signature);
      if (parseSerializedSignature(serialized).signatureScheme === 'ZkLogin')
        throw new Error('zkLogin signatures cannot be verified by this development chain');
      await verifyTransactionSignature(bytes, serialized, { address: signer });
      return index;
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  return -1;
}

const invalidSignature = (reason: string): RpcStatus => invalidArgument(`Invalid user signature: ${reason}`);
