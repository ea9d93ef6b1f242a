import { backoffDelayMs, DaasError, EXIT, errorFields } from '#base';
import type { Ending } from './consequences.ts';
import { forgetJoin } from './joined-before.ts';
import { type Latch, latchPath, readLatch, removeLatch, writeLatch } from './latch.ts';
import type { LifeContext, LifecycleServices, ResumeServices } from './life-context.ts';

/** An unreadable chain does not lift a latch: after this many reads it holds. */
const latchReads = 3;
/** A kill that failed is tried again; after this many rounds the next start finishes it. */
const clearingRounds = 3;

type Context = LifeContext & Pick<LifecycleServices, 'agent' | 'journal' | 'chain'>;

/**
 * Locks a slashed node out: first the latch, so that a host that is killed meanwhile stays out, then agent, pods and
 * credential. A second SIGTERM does not shorten this, because a half of it would leave k3s running. Whether all is gone.
 */
export async function lockOut({ error, detail }: Ending, context: Context): Promise<boolean> {
  const { settings, clock, events, log } = context;
  const recordId = String((error as DaasError).details.recordId);
  const latch = { recordId, nodeId: settings.nodeId, detail, atMs: clock.nowMs() };
  const write = (isComplete: boolean) =>
    attempt('latch', () => writeLatch(settings.stateDir, { ...latch, isComplete }), log);
  // A full disk must not keep the agent alive: a latch that cannot be written is skipped.
  if (await write(false)) events.emit('latch.written', { recordId });
  const isGone = await clearOut(context);
  await write(isGone);
  return isGone;
}

/** Nothing of this node runs on, and no later start uses its join. Whether the agent and its pods are gone. */
export async function clearOut({
  agent,
  journal,
  log,
}: ResumeServices & Pick<Context, 'log'>): Promise<boolean> {
  let isGone = false;
  for (let round = 0; round < clearingRounds && !isGone; round += 1)
    isGone = await attempt('agent', () => agent.stopForGood(), log);
  await attempt('journal', () => forgetJoin(journal), log);
  return isGone;
}

/** A step of a lock-out. The others follow even if it fails. */
async function attempt(step: string, act: () => Promise<void>, log: Context['log']): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    log.error('A step of the lock-out failed', { step, ...errorFields(error) });
    return false;
  }
}

/**
 * Throws `DAAS_LATCHED` while the latch holds: until another stake record stands for this node. Returns the latch that
 * `liftLatch` removes once that record turns out to be this wallet's; a stranger can stake under the same name.
 */
export async function refuseLatched(context: Context): Promise<Latch | undefined> {
  const { settings, agent, journal, log, end } = context;
  const latch = await readLatch(settings.stateDir);
  if (!latch) return undefined;
  if (!latch.isComplete) {
    // Preflight stops an agent that an earlier life left running; its failure (no binary, say) does not lift the latch.
    await agent
      .preflight(end.signal)
      .catch((error: unknown) => log.warn('Preflight failed', errorFields(error)));
    await agent.stopForGood();
    await writeLatch(settings.stateDir, { ...latch, isComplete: true });
  }
  // An earlier life may have been killed before it forgot the join: an unreachable chain must not start an agent on it.
  await forgetJoin(journal);
  if (settings.mayStakeAgain) {
    log.warn('Latched, but another stake may be made', { latchedRecordId: latch.recordId });
    return latch;
  }
  refuseSameRecord(latch, await liveRecord(context), settings.stateDir);
  return latch;
}

/** Throws `DAAS_LATCHED` when the record is the one that the latch names. */
export async function liftLatch(
  latch: Latch,
  recordId: string,
  { settings, log }: Pick<Context, 'settings' | 'log'>,
): Promise<void> {
  refuseSameRecord(latch, recordId, settings.stateDir);
  log.info('The latch is lifted: another record stands for this node', {
    latchedRecordId: latch.recordId,
    recordId,
  });
  await removeLatch(settings.stateDir);
}

async function liveRecord({
  settings,
  chain,
  clock,
  random,
  log,
  end,
}: Context): Promise<string | undefined> {
  for (let read = 0; read < latchReads; read += 1) {
    try {
      return await chain.liveRecordOf(settings.nodeId, end.signal);
    } catch (error) {
      end.signal.throwIfAborted();
      log.warn('Cannot read whether another record stands', errorFields(error));
      await clock.sleep(backoffDelayMs(read, settings.retry, random), end.signal);
    }
  }
  return undefined;
}

/**
 * Throws `DAAS_LATCHED` unless the record is another than the one that the latch names. A damaged latch names none, so no
 * record counts as another one.
 */
export function refuseSameRecord(latch: Latch, recordId: string | undefined, stateDir: string): void {
  const isAnother = recordId !== undefined && latch.recordId !== undefined && latch.recordId !== recordId;
  if (!isAnother) throw latchedError(latch, stateDir);
}

function latchedError(latch: Latch, stateDir: string): DaasError {
  return new DaasError(
    'DAAS_LATCHED',
    `this host is locked out: stake record ${latch.recordId ?? '(unknown)'} of node '${latch.nodeId}' (${latch.detail}). ` +
      'It can join again once another stake record stands for this node: stake anew with `k3s-daas stake`; ' +
      `a banned node also needs the cluster's operator. The latch is ${latchPath(stateDir)}`,
    { exitCode: EXIT.lockedOut, details: { recordId: latch.recordId, atMs: latch.atMs } },
  );
}
