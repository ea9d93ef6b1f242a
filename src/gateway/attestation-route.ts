import { X509Certificate } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { AttestationQuery, type AttestationReply, PATHS } from '#api';
import { type Clock, createMutex, errorFields, type Log } from '#base';
import { ApiProblem } from './api-problem.ts';
import { parseRequest } from './http.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';

/** Makes evidence of the machine that the gateway runs on. */
export interface EvidenceDesk {
  readonly chainId: string;
  /**
   * Evidence bound to this TLS key (SubjectPublicKeyInfo, DER), the gateway, the chain and the nonce, as an evidence file.
   * Throws when the device makes none now.
   */
  make(asked: {
    readonly spki: Uint8Array;
    readonly gatewayId: string;
    readonly nonce: Uint8Array;
    readonly signal: AbortSignal;
  }): Promise<Readonly<Record<string, unknown>>>;
}

export interface AttestationRouteOptions {
  /** Left out: the gateway makes no evidence, and says so. */
  readonly evidence?: EvidenceDesk | undefined;
  readonly gatewayId: string;
  /** PEM, of the public port now. */
  readonly cert: () => string;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when the gateway stops. */
  readonly signal: AbortSignal;
}

/** Devices answer one request at a time, and some of them slow down whoever asks often. */
const MAKE_WITHIN_MS = 8_000;

/**
 * Anybody may ask what this gateway runs, before anything is sent to it. A worker asks at its start and then every half an hour;
 * each question costs the device some milliseconds, so an address has few of them and all callers together a bounded number.
 */
export function registerAttestationRoute(app: FastifyInstance, options: AttestationRouteOptions): void {
  const { evidence, gatewayId, cert, clock, log, signal } = options;
  const ofAddress = createRateLimit({ ratePerSecond: 0.5, burst: 20 });
  const ofAll = createRateLimit({ ratePerSecond: 20, burst: 100 });
  const exclusive = createMutex();
  let isFailing = false;

  app.get(PATHS.attestation, async (request): Promise<AttestationReply> => {
    if (!evidence)
      throw new ApiProblem(
        'attestation_missing',
        'this gateway makes no evidence (gateway.attestation.provider)',
      );
    const { nonce } = parseRequest(AttestationQuery, request.query);
    const nowMs = clock.monotonicMs();
    const waitMs = ofAddress.take(addressKey(request.ip), nowMs) || ofAll.take('', nowMs);
    if (waitMs > 0)
      throw new ApiProblem('rate_limited', 'too many questions for evidence: each costs the device one', {
        retryAfterMs: waitMs,
      });
    const spki = new X509Certificate(cert()).publicKey.export({ type: 'spki', format: 'der' });
    const asked = { spki, gatewayId, nonce: Buffer.from(nonce, 'base64url') };
    const within = AbortSignal.any([signal, AbortSignal.timeout(MAKE_WITHIN_MS)]);
    try {
      const made = await exclusive(() => {
        within.throwIfAborted();
        return evidence.make({ ...asked, signal: within });
      });
      isFailing = false;
      return {
        gateway_id: gatewayId,
        chain_id: evidence.chainId,
        timestamp: clock.nowMs(),
        evidence: { ...made },
      };
    } catch (cause) {
      // Anybody may ask: while it fails, one line says so.
      if (!isFailing)
        log.error('The machine made no evidence', {
          event: 'gateway.evidence-failed',
          ...errorFields(cause),
        });
      isFailing = true;
      throw new ApiProblem(
        'attestation_unavailable',
        'the machine of this gateway made no evidence in time',
        {
          cause,
          retryAfterMs: 2_000,
        },
      );
    }
  });
}
