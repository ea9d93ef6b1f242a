import { type Clock, ConfigurationError, systemClock } from '#base';
import { type ChainClient, parametersAt, slashReadiness } from '#chain';
import { formatDuration } from './chain-options.ts';
import type { Io } from './io.ts';
import { proposalOf } from './slash-proposal.ts';

const INTERVAL_MS = 2_000;

/** Waits until the proposal has its votes and its challenge time is over. Throws `DAAS_PROPOSAL_CLOSED` (exit 78). */
export async function untilExecutable(
  io: Pick<Io, 'note'>,
  client: ChainClient,
  proposalId: string,
  clock: Pick<Clock, 'sleep'> = systemClock,
): Promise<void> {
  let told = '';
  for (;;) {
    const proposal = await proposalOf(client, proposalId);
    const { state, nowMs } = await client.clusterState();
    const readiness = slashReadiness(proposal, parametersAt(state, nowMs), nowMs);
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
