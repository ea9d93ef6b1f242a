import { DaasError, gatewayErrorCode } from '#base';
import type { Transport } from './transport.ts';
import { PATHS } from './wire.ts';

/** Proof files of a token and its stake record, as this host has proven them; none where it has no trust pin. */
export type StakeProofs = (sealTokenId: string) => Promise<readonly string[]>;

/** What a gateway answers whose full nodes have pruned what proves a stake: it looks as if there were none. */
const CODES = [gatewayErrorCode('seal_token_invalid'), gatewayErrorCode('record_not_found')];

export function isStakeUnseen(refusal: unknown): refusal is DaasError {
  return refusal instanceof DaasError && CODES.some((code) => code === refusal.code);
}

/**
 * Shows a gateway the proofs of a stake that it does not find. Returns what the registration is refused with: the same, as one that is
 * asked again about where the gateway has learned something.
 */
export async function handOverProofs(
  refusal: DaasError,
  proofs: readonly string[],
  transport: Transport,
  signal: AbortSignal | undefined,
): Promise<DaasError> {
  let hasLearned = false;
  for (const body of proofs) hasLearned = (await isTaken(transport, body, signal)) || hasLearned;
  const code = CODES.find((known) => known === refusal.code);
  if (!hasLearned || code === undefined) return refusal;
  return new DaasError(code, `${refusal.message} (the gateway has been shown the proof of the stake)`, {
    cause: refusal,
    isRetryable: true,
    details: refusal.details,
  });
}

/** Whether the proof was new to the gateway. One that it does not take is no reason to fail: the refusal stands. */
async function isTaken(
  transport: Transport,
  body: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const reply = await transport.send({ method: 'POST', path: PATHS.chainProof, body, signal });
    return reply.status === 200 && (JSON.parse(reply.body) as { status?: unknown }).status === 'accepted';
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}
