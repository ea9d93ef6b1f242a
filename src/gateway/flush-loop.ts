import { type Clock, type Log, messageOf } from '#base';
import type { Audit } from './audit.ts';
import type { DiskReserve } from './disk-reserve.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import type { TokenUsage } from './token-usage.ts';

/** Everything that is written at intervals. */
export interface Written {
  readonly registry: Registry;
  readonly audit: Audit;
  readonly refusals: RefusalTally;
  readonly acceptances: RefusalTally;
  readonly usage: TokenUsage;
  readonly reserve: DiskReserve;
  readonly clock: Clock;
  readonly log: Log;
}

const everyMs = 1_000;

/** Writes what is due, and what could not be written when it should have been, until the signal aborts. */
export async function flushLoop(written: Written, signal: AbortSignal): Promise<void> {
  const { clock, log } = written;
  let reported: string | undefined;
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal).catch(() => undefined);
    const failure = await flush(written);
    // Once: a line each second about a full disk would go to the same disk.
    if (failure !== undefined && reported === undefined)
      log.error('State or audit file cannot be written: no node is admitted until they can', {
        event: 'gateway.unwritten',
        detail: failure,
      });
    if (failure === undefined && reported !== undefined)
      log.info('State and audit file are written again', { event: 'gateway.written' });
    reported = failure;
  }
}

/** Resolves with what could not be written, if anything. */
async function flush(written: Written): Promise<string | undefined> {
  const { registry, audit, usage, reserve } = written;
  written.refusals.flush();
  written.acceptances.flush();
  usage.flush();
  await reserve.restore();
  await audit.flush();
  try {
    await registry.flush();
  } catch (error) {
    return messageOf(error);
  }
  return registry.failure() ?? audit.failure() ?? (reserve.isSpent() ? reserve.detail() : undefined);
}
