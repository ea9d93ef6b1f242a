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

interface HandOver {
  /** What the registration is refused with: the same, as one that is asked again about where the gateway has learned something. */
  readonly answer: DaasError;
  /** Whether the gateway has judged every proof; one that is busy is shown them again. */
  readonly areAnswered: boolean;
}

/** Shows a gateway the proofs of a stake that it does not find. */
export async function handOverProofs(
  refusal: DaasError,
  proofs: readonly string[],
  transport: Transport,
  signal: AbortSignal | undefined,
): Promise<HandOver> {
  const outcomes: Outcome[] = [];
  for (const body of proofs) outcomes.push(await show(transport, body, signal));
  const areAnswered = !outcomes.includes('unanswered');
  const code = CODES.find((known) => known === refusal.code);
  if (!outcomes.includes('taken') || code === undefined) return { answer: refusal, areAnswered };
  const answer = new DaasError(
    code,
    `${refusal.message} (the gateway has been shown the proof of the stake)`,
    { cause: refusal, isRetryable: true, details: refusal.details },
  );
  return { answer, areAnswered };
}

/** `known`: not new to the gateway, or not one that it takes. That is no reason to fail: the refusal stands. */
type Outcome = 'taken' | 'known' | 'unanswered';

async function show(transport: Transport, body: string, signal: AbortSignal | undefined): Promise<Outcome> {
  try {
    const reply = await transport.send({ method: 'POST', path: PATHS.chainProof, body, signal });
    if (reply.status === 429 || reply.status >= 500) return 'unanswered';
    const isNew =
      reply.status === 200 && (JSON.parse(reply.body) as { status?: unknown }).status === 'accepted';
    return isNew ? 'taken' : 'known';
  } catch {
    signal?.throwIfAborted();
    return 'unanswered';
  }
}
