import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { Ed25519PublicKey } from '@mysten/sui/keypairs/ed25519';
import { intentDigest } from './digest.ts';

/**
 * Ed25519 by Node's own crypto: some twenty times as fast as the SDK's, which is written in JavaScript, and most
 * accounts have such keys. Serialised signatures are flag 0, 64 bytes of signature, 32 bytes of public key.
 */
const FLAG = 0;
const SIGNATURE_LENGTH = 64;
const KEY_LENGTH = 32;
/** DER of a SubjectPublicKeyInfo up to the key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export const isEd25519 = (signature: Uint8Array): boolean =>
  signature[0] === FLAG && signature.length === 1 + SIGNATURE_LENGTH + KEY_LENGTH;

/** Whether `address` signed this transaction. */
export function verifyEd25519(transaction: Uint8Array, signature: Uint8Array, address: string): boolean {
  const raw = signature.subarray(1 + SIGNATURE_LENGTH);
  if (new Ed25519PublicKey(raw).toSuiAddress() !== address) return false;
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, raw]),
    format: 'der',
    type: 'spki',
  });
  return verify(null, intentDigest(transaction), key, signature.subarray(1, 1 + SIGNATURE_LENGTH));
}

/** A fresh key that signs transactions. */
export class Ed25519Key {
  readonly address: string;
  readonly #privateKey: KeyObject;
  readonly #publicKey: Uint8Array;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#privateKey = privateKey;
    this.#publicKey = publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
    this.address = new Ed25519PublicKey(this.#publicKey).toSuiAddress();
  }

  signTransaction(transaction: Uint8Array): Uint8Array {
    const signature = sign(null, intentDigest(transaction), this.#privateKey);
    return Buffer.concat([Buffer.of(FLAG), signature, this.#publicKey]);
  }
}
