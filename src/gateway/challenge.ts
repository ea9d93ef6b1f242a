import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FreshnessReason } from '#seal';

/**
 * Registration challenges that cost no memory until they are used: a nonce is its expiry, randomness, and a MAC over
 * these, the gateway and the node id. The MAC key is made at the start and never leaves the process. Times are of the
 * monotonic clock: setting back the time of day must neither extend a nonce nor revive a used one.
 */
export interface Challenges {
  issue(nodeId: string, nowMs: number): { readonly nonce: string };
  /** Why a nonce does not count: not of this gateway, not for this node id, expired, used. It stays unused. */
  examine(nonce: string | undefined, nodeId: string, nowMs: number): FreshnessReason | undefined;
  /** Uses it up; `false` when another request was faster. */
  use(nonce: string, nowMs: number): boolean;
}

export const CHALLENGE_LIFE_MS = 60_000;
/** Only proofs whose signature holds use a nonce, and those are rate-limited. This is the bound in any case. */
const mostUsedNonces = 100_000;
const randomLength = 16;
const macLength = 32;
const nonceLength = 8 + randomLength + macLength;

export function createChallenges(gatewayId: string): Challenges {
  // As a key object: given bytes, Node makes an error with its stack each time before it takes them.
  const key = createSecretKey(randomBytes(32));
  /** Used nonces by their expiry; insertion order is close to that of expiry. */
  const used = new Map<string, number>();

  function mac(nodeId: string, head: Uint8Array): Buffer {
    const hmac = createHmac('sha256', key).update('k3s-daas challenge 1\n');
    // With lengths: no two different pairs of texts give the same bytes.
    for (const text of [gatewayId, nodeId]) hmac.update(`${Buffer.byteLength(text)}:${text}\n`);
    return hmac.update(head).digest();
  }

  function forgetExpired(nowMs: number): void {
    for (const [nonce, expiresAtMs] of used) {
      if (expiresAtMs > nowMs) break;
      used.delete(nonce);
    }
  }

  return {
    issue(nodeId, nowMs) {
      const expiresAtMs = Math.round(nowMs + CHALLENGE_LIFE_MS);
      const head = Buffer.alloc(8 + randomLength);
      head.writeBigUInt64BE(BigInt(expiresAtMs));
      randomBytes(randomLength).copy(head, 8);
      return { nonce: Buffer.concat([head, mac(nodeId, head)]).toString('base64url') };
    },
    examine(nonce, nodeId, nowMs) {
      if (nonce === undefined) return 'nonce_missing';
      const bytes = Buffer.from(nonce, 'base64url');
      // Another spelling of the same bytes would count as unused.
      if (bytes.length !== nonceLength || bytes.toString('base64url') !== nonce) return 'nonce_invalid';
      const head = bytes.subarray(0, 8 + randomLength);
      if (!timingSafeEqual(mac(nodeId, head), bytes.subarray(8 + randomLength))) return 'nonce_invalid';
      if (Number(head.readBigUInt64BE()) <= nowMs) return 'nonce_expired';
      return used.has(nonce) ? 'nonce_used' : undefined;
    },
    use(nonce, nowMs) {
      forgetExpired(nowMs);
      if (used.has(nonce) || used.size >= mostUsedNonces) return false;
      used.set(nonce, nowMs + CHALLENGE_LIFE_MS);
      return true;
    },
  };
}
