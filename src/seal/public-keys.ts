import { createPublicKey, type KeyObject } from 'node:crypto';

/** An Ed25519 public key from its 32 bytes in base64url. Throws for anything else. */
export function importPublicKey(x: string): KeyObject {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('this is not an Ed25519 key');
  return key;
}

/** Imported keys, so that a key that is used again and again is imported once. */
export interface PublicKeys {
  /** Throws as `importPublicKey` does. */
  get(x: string): KeyObject;
}

/** Of `most` keys the one longest unused is forgotten. Only for keys that count already: a stranger's would push them out. */
export function createPublicKeys(most: number): PublicKeys {
  const keys = new Map<string, KeyObject>();
  return {
    get(x) {
      const key = keys.get(x) ?? importPublicKey(x);
      // Deleted and set again: a map keeps the order of insertion.
      keys.delete(x);
      keys.set(x, key);
      if (keys.size > most) {
        const oldest = keys.keys().next();
        if (!oldest.done) keys.delete(oldest.value);
      }
      return key;
    },
  };
}
