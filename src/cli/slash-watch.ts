import { type Clock, ConfigurationError, DaasError, systemClock } from '#base';
import { type ChainClient, parametersAt, type SlashReadiness, slashReadiness } from '#chain';
import { formatDuration } from './chain-options.ts';
import type { Io } from './io.ts';
import { proposalOf } from './slash-proposal.ts';

const INTERVAL_MS = 2_000;

/**
 * Waits until the proposal has its votes and its challenge time is over; outages of the full nodes are waited for too. Throws
 * `DAAS_PROPOSAL_CLOSED` (exit 78).
 */
export async function untilExecutable(
  io: Pick<Io, 'note'>,
  client: ChainClient,
  proposalId: string,
  clock: Pick<Clock, 'sleep'> = systemClock,
): Promise<void> {
  let told = '';
  for (;;) {
    const readiness = await readinessOf(client, proposalId).catch(outageOf);
    if (readiness.kind === 'outage') {
      if (readiness.message !== told) io.note(`waits: ${readiness.message}`);
      told = readiness.message;
      await clock.sleep(INTERVAL_MS);
      continue;
    }
    if (readiness.kind === 'ready') return;
    if (readiness.kind === 'closed')
      throw new ConfigurationError(
        'DAAS_PROPOSAL_CLOSED',
        `the proposal ${proposalId} is ${readiness.status}: nothing is left to execute`,
        { details: { proposalId, status: readiness.status } },
      );
    const sentence =
      readiness.kind === 'votes'
        ? `waits for votes: ${readiness.votes} of ${readiness.needed}`
        : `waits for the end of the challenge time`;
    if (sentence !== told) {
      const rest = readiness.kind === 'challenge' ? ` (${formatDuration(readiness.delayMs)})` : '';
      io.note(`${sentence}${rest}`);
      told = sentence;
    }
    const delayMs = readiness.kind === 'challenge' ? Math.min(readiness.delayMs, INTERVAL_MS) : INTERVAL_MS;
    await clock.sleep(delayMs);
  }
}

async function readinessOf(client: ChainClient, proposalId: string): Promise<SlashReadiness> {
  const proposal = await proposalOf(client, proposalId);
  const { state, nowMs } = await client.clusterState();
  return slashReadiness(proposal, parametersAt(state, nowMs), nowMs);
}

/** What may pass by itself; anything else is thrown. */
function outageOf(error: unknown): { readonly kind: 'outage'; readonly message: string } {
  if (error instanceof DaasError && error.isRetryable) return { kind: 'outage', message: error.message };
  throw error;
}
