import type { FastifyInstance } from 'fastify';
import { type Clock, DaasError } from '#base';
import { ApiProblem } from './api-problem.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';

/** Where anybody may bring a proof of what happened on chain: `k3s-daas proof show` writes one. */
const CHAIN_PROOF_PATH = '/api/v1/chain-proof';
/** A proof has 2 to 25 kB, and 15 kB for each epoch since the pin that it starts from. */
const LONGEST_PROOF_BYTES = 1024 * 1024;

/**
 * Verifies a proof and keeps what it shows; returns the ids of the objects that are newer than what was known. Throws
 * `DaasError` for what is no proof.
 */
export type ProofTaker = (text: string) => Promise<readonly string[]>;

/**
 * A full node can hide a change only from those who ask no other one: a slasher, another gateway or a watcher brings it here.
 * A proof needs no trust in its bearer. Verifying costs some 50 ms, so all callers together have two a second.
 */
export function registerProofRoute(
  app: FastifyInstance,
  { takeProof, clock }: { readonly takeProof?: ProofTaker | undefined; readonly clock: Clock },
): void {
  if (!takeProof) return;
  const ofAddress = createRateLimit({ ratePerSecond: 0.2, burst: 4 });
  const ofAll = createRateLimit({ ratePerSecond: 2, burst: 20 });
  app.post(
    CHAIN_PROOF_PATH,
    {
      bodyLimit: LONGEST_PROOF_BYTES,
      // Before the body is read.
      onRequest: async (request) => {
        const nowMs = clock.monotonicMs();
        const waitMs = ofAddress.take(addressKey(request.ip), nowMs) || ofAll.take('', nowMs);
        if (waitMs > 0)
          throw new ApiProblem('rate_limited', 'too many proofs: each costs a verification', {
            retryAfterMs: waitMs,
          });
      },
    },
    async (request) => {
      const text = Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '';
      const objects = await taken(takeProof, text);
      return { status: objects.length > 0 ? 'accepted' : 'known', timestamp: clock.nowMs(), objects };
    },
  );
}

async function taken(takeProof: ProofTaker, text: string): Promise<readonly string[]> {
  try {
    return await takeProof(text);
  } catch (cause) {
    if (!(cause instanceof DaasError) || cause.isRetryable) throw cause;
    throw new ApiProblem('request_invalid', `no proof that holds: ${cause.message}`, { cause });
  }
}
