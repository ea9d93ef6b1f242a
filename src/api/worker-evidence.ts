import type { GatewayEntry } from '#domain';
import type { RegisterRequest } from '#plugin';
import type { ProofSigner } from '#seal';
import type { ChallengeReply } from './wire.ts';

/** What evidence of a worker is bound to; the chain is known to whoever makes it. */
export interface WorkerEvidenceRequest {
  /** Ed25519 public key, 32 bytes: the one that signs the registration. */
  readonly nodeKey: Uint8Array;
  readonly nodeId: string;
  readonly gatewayId: string;
  /** Of the gateway's challenge. */
  readonly nonce: string;
}

/** Makes evidence of this machine. */
export interface WorkerEvidence {
  /**
   * An evidence file, as JSON.
   * @throws `DAAS_TEE_DEVICE_MISSING`, `DAAS_TEE_DEVICE_FAILED`
   */
  make(
    bound: WorkerEvidenceRequest,
    signal: AbortSignal | undefined,
  ): Promise<Readonly<Record<string, unknown>>>;
}

interface Asked {
  readonly gateway: GatewayEntry;
  readonly signer: ProofSigner;
  readonly evidence: WorkerEvidence | undefined;
  readonly evidenceAsked: ChallengeReply['worker_evidence'];
}

/** Said before money moves: this host would be refused, whatever the gateway knows of its stake. */
export function withoutEvidence({
  evidence,
  evidenceAsked,
}: Pick<Asked, 'evidence' | 'evidenceAsked'>): boolean {
  return evidenceAsked === 'required' && evidence === undefined;
}

/** For a gateway that takes evidence and demands none, a device that fails is no reason to stay away. */
export async function evidenceFor(
  { gateway, signer, evidence, evidenceAsked }: Asked,
  { challenge: { nonce }, sealTokenId }: RegisterRequest,
  signal: AbortSignal | undefined,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (!evidence || evidenceAsked === undefined) return undefined;
  const { nodeId } = signer;
  const nodeKey = signer.keyFor(sealTokenId);
  const made = evidence.make({ nodeKey, nodeId, gatewayId: gateway.id, nonce }, signal);
  return evidenceAsked === 'required' ? made : made.catch(() => undefined);
}
