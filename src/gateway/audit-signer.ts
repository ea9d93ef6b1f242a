import {
  createHmac,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';

/** What makes the audit file one that nobody without the gateway's signing key can continue or rewrite. */
export interface AuditSigner {
  readonly gatewayId: string;
  /** Ed25519, 64 hex digits: the signing key that the chain names for this gateway. */
  readonly publicKey: string;
  /** The keyed hash of a line, from its hash: the first 16 bytes of HMAC-SHA-256, base64url. */
  readonly mac: (hash: string) => string;
  /** Ed25519 over the statement of a checkpoint, base64url. */
  sign(checkpoint: Checkpoint): string;
}

/** What a checkpoint says: the chain up to a line, and the lines since the checkpoint before it as a Merkle tree. */
export interface Checkpoint {
  readonly gateway: string;
  /** The first and the last line of the tree. */
  readonly from: number;
  readonly through: number;
  /** The hash of the line `through`. */
  readonly head: string;
  /** The root of the tree over the hashes of these lines (RFC 9162, section 2.1.1), hex. */
  readonly root: string;
}

/** The key of the keyed hash is derived from the signing key (HKDF-SHA-256), so that there is one secret to keep. */
export function createAuditSigner(signingKey: KeyObject, gatewayId: string): AuditSigner {
  const macKey = macKeyOf(signingKey);
  return {
    gatewayId,
    publicKey: publicHexOf(signingKey),
    mac: (hash) => macOf(macKey, hash),
    sign: (checkpoint) => sign(null, statementOf(checkpoint), signingKey).toString('base64url'),
  };
}

/** The public half of a signing key, 64 hex digits. */
export function publicHexOf(signingKey: KeyObject): string {
  const { x = '' } = createPublicKey(signingKey).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url').toString('hex');
}

export function macKeyOf(signingKey: KeyObject): KeyObject {
  const { d = '' } = signingKey.export({ format: 'jwk' });
  const bytes = hkdfSync('sha256', Buffer.from(d, 'base64url'), '', 'k3s-daas/audit-line', 32);
  return createSecretKey(Buffer.from(bytes));
}

export function macOf(macKey: KeyObject, hash: string): string {
  return createHmac('sha256', macKey).update(hash).digest().subarray(0, 16).toString('base64url');
}

/** Whether this key signed this checkpoint; `false` also for what is no key or no signature. */
export function isSignedBy(publicKey: string, checkpoint: Checkpoint, signature: string): boolean {
  try {
    const x = Buffer.from(publicKey, 'hex').toString('base64url');
    const key = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } });
    return verify(null, statementOf(checkpoint), key, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}

/** One member a line: no text of a member has a line break that the next one could be taken for. */
function statementOf({ gateway, from, through, head, root }: Checkpoint): Buffer {
  return Buffer.from(
    ['k3s-daas/audit-checkpoint/v1', JSON.stringify(gateway), from, through, head, root].join('\n'),
  );
}
