import type { FastifyInstance } from 'fastify';
import { type ChainProofReply, PATHS } from '#api';
import { type Clock, DaasError } from '#base';
import { ApiProblem } from './api-problem.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';

/** A proof has 2 to 25 kB, and 15 kB for each epoch since the pin that it starts from. */
const LONGEST_PROOF_BYTES = 1024 * 1024;

/**
 * Verifies a proof and keeps what it shows; returns the ids of the objects that are newer than what was known. Throws
 * `DaasError` for what is no proof.
 */
export type ProofTaker = (text: string) => Promise<readonly string[]>;

/**
 * A full node can hide a change only from those who ask no other one: a slasher, another gateway or a watcher brings it here.
 * A proof needs no trust in its bearer. Verifying costs some 50 ms, so all callers together have two a second; and an
 * address whose proofs show nothing new soon has none of these, so that a few addresses cannot take them all.
 */
export function registerProofRoute(
  app: FastifyInstance,
  { takeProof, clock }: { readonly takeProof?: ProofTaker | undefined; readonly clock: Clock },
): void {
  if (!takeProof) return;
  const ofAddress = createRateLimit({ ratePerSecond: 0.2, burst: 4 });
  const ofAll = createRateLimit({ ratePerSecond: 2, burst: 20 });
  const inVain = createRateLimit({ ratePerSecond: 1 / 600, burst: 6 });
  app.post(
    PATHS.chainProof,
    {
      bodyLimit: LONGEST_PROOF_BYTES,
      // Before the body is read.
      onRequest: async (request) => {
        const nowMs = clock.monotonicMs();
        const address = addressKey(request.ip);
        const isInVain = inVain.left(address, nowMs) < 1;
        const waitMs = isInVain ? 600_000 : ofAddress.take(address, nowMs) || ofAll.take('', nowMs);
        if (waitMs > 0)
          throw new ApiProblem('rate_limited', 'too many proofs: each costs a verification', {
            retryAfterMs: waitMs,
          });
      },
    },
    async (request): Promise<ChainProofReply> => {
      const text = Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '';
      // Paid before the work: many at once count each, and news gives it back.
      const address = addressKey(request.ip);
      inVain.take(address, clock.monotonicMs());
      const objects = await taken(takeProof, text).catch((error: unknown) => {
        if (!(error instanceof ApiProblem)) inVain.giveBack(address, clock.monotonicMs());
        throw error;
      });
      if (objects.length > 0) inVain.giveBack(address, clock.monotonicMs());
      return {
        status: objects.length > 0 ? 'accepted' : 'known',
        timestamp: clock.nowMs(),
        objects: [...objects],
      };
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
