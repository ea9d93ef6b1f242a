import {
  definePlugin,
  errorFields,
  HostClock,
  HostControl,
  messageOf,
  StakeChain,
  stakeEnding,
} from 'k3s-daas/plugin';
import { z } from 'zod';

/** So many readings in a row must miss the token. */
const readingsOfRevocation = 2;
/** So many readings in a row fail before the host calls itself degraded; one lost reading is weather. */
const toleratedFailures = 3;

/**
 * Watches this node's own stake record and ends the host when the chain says that it no longer counts. What cannot be read
 * is unknown, and unknown is never guilt.
 */
export default definePlugin({
  name: 'slashing',
  api: 1,
  after: ['staking'],
  config: z.strictObject({
    intervalMs: z.int().min(100).max(60_000).default(3_000),
  }),
  needs: { chain: StakeChain, control: HostControl, clock: HostClock },
  setup(scope, { chain, control, clock }) {
    const { config, log } = scope;
    let recordId: string | undefined;
    let tokenId: string | undefined;
    /** The record's count of tokens when it had this one: a reading with fewer is of before, from an endpoint that is behind. */
    let countWithToken: bigint | undefined;
    let readingsWithoutToken = 0;
    let failures = 0;
    let lastProblem = '';
    let hasEnded = false;

    function follow(record: string, token?: string): void {
      if (record !== recordId || (token !== undefined && token !== tokenId)) countWithToken = undefined;
      recordId = record;
      tokenId = token ?? tokenId;
    }
    scope.on('stake.created', (fact) => follow(fact.recordId));
    scope.on('stake.found', (fact) => follow(fact.recordId));
    scope.on('seal.minted', (fact) => follow(fact.recordId, fact.tokenId));
    scope.on('seal.found', (fact) => follow(fact.recordId, fact.tokenId));
    scope.on('worker.registered', (fact) => follow(fact.recordId, fact.sealTokenId));

    async function look(id: string, signal: AbortSignal): Promise<void> {
      const record = (await chain.records([id], signal)).get(id);
      // Records are never deleted: one that cannot be found is an endpoint that is behind.
      if (!record) throw new Error(`the record ${id} cannot be found`);
      if (record.token !== undefined && record.token === tokenId) countWithToken = record.tokenSequence;
      const isGone =
        record.token === undefined && countWithToken !== undefined && record.tokenSequence >= countWithToken;
      readingsWithoutToken = isGone ? readingsWithoutToken + 1 : 0;
      const ending = stakeEnding(record, readingsWithoutToken >= readingsOfRevocation);
      if (!ending || hasEnded) return;
      hasEnded = true;
      control.stop({ ...ending, source: 'chain' });
    }

    function readable(): void {
      if (failures >= toleratedFailures) log.info('The stake record can be read again', { failures });
      failures = 0;
    }

    // Caught here rather than left to the supervisor: a chain that is away for hours is no failing task.
    function unreadable(error: unknown): void {
      failures += 1;
      lastProblem = messageOf(error);
      if (failures !== toleratedFailures) return;
      log.warn('The stake record cannot be read', { recordId, ...errorFields(error) });
    }

    scope.run('watch', async (signal) => {
      while (!signal.aborted) {
        if (recordId !== undefined && !hasEnded) {
          try {
            await look(recordId, signal);
            readable();
          } catch (error) {
            signal.throwIfAborted();
            unreadable(error);
          }
        }
        await clock.sleep(config.intervalMs, signal);
      }
    });

    scope.health(() => ({
      live: true,
      ready: failures < toleratedFailures,
      detail:
        recordId === undefined
          ? 'no stake record yet'
          : failures < toleratedFailures
            ? 'the stake record is followed'
            : `the stake record could not be read ${failures} times in a row: ${lastProblem}`,
    }));
  },
});
