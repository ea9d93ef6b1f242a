import type { FastifyRequest } from 'fastify';
import { RegisterBody } from '#api';
import type { Clock } from '#base';
import { certificateFingerprint, isSignedByCertificate, kubeletStatement } from '#seal';
import type { Registry } from './registry.ts';
import { vouchesOf } from './worker.ts';

interface KubeletCase {
  readonly nodeId: string;
  readonly nonce: string;
  readonly config: { readonly gatewayId: string };
  readonly registry: Pick<Registry, 'worker'>;
  readonly clock: Clock;
}

/** The kubelet's signature in a registration whose body was not examined yet. */
export function kubeletIn({ body }: FastifyRequest): RegisterBody['kubelet'] {
  try {
    return RegisterBody.parse(JSON.parse((body as Buffer).toString('utf8'))).kubelet;
  } catch {
    // What is wrong with it is said when the body is read.
    return undefined;
  }
}

/**
 * Whether the registration is signed by a kubelet key, too, whose certificate the stake of the node vouches for: what was shown is
 * examined then (`examineCertificate`), so that here its fingerprint says who issued it, and to whom.
 */
export function hasKubelet(
  proof: RegisterBody['kubelet'] | undefined,
  { nodeId, nonce, config: { gatewayId }, registry, clock }: KubeletCase,
): boolean {
  const worker = proof && registry.worker(nodeId);
  if (!worker) return false;
  const fingerprint = certificateFingerprint(proof.certificate);
  const vouch = vouchesOf(worker).find((known) => known.fingerprint === fingerprint);
  if (vouch?.identity !== 'kubelet' || vouch.notAfterMs <= clock.nowMs()) return false;
  const text = kubeletStatement({ gatewayId, nodeId, nonce });
  return isSignedByCertificate(proof.certificate, text, proof.signature);
}
