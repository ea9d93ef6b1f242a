import { errorFields, inSlices } from '#base';
import { isOperatorsName } from '#domain';
import { admittedNameOf } from './contested-names.ts';
import { isHistoryOver } from './name-history.ts';
import { dueListings } from './operator-names.ts';
import type { ReconcilerContext } from './reconciler-context.ts';
import { relistDue } from './relisting.ts';
import { credentialOf, hasLeft, isAdmitted, type Worker } from './worker.ts';

/** Facts that no transaction takes back. */
const endings: ReadonlySet<string> = new Set(['stake_slashed', 'stake_unbonding', 'stake_withdrawn']);
const bindingTailMs = 24 * 3_600_000;
/** Credentials end without an event: workers are looked at this often. */
const sweepEveryMs = 2_000;

/** A full pass at the start and every `fullPassMs`, and a sweep over some of the workers in between. */
export async function runPasses(
  context: ReconcilerContext,
  fullPassMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, readings, sweep, sharedAddresses } = context;
  let nextPassMs = 0;
  while (!signal.aborted) {
    try {
      const isTime = clock.monotonicMs() >= nextPassMs;
      if (!context.isActing()) {
        // The first pass comes with the lead; until then the names are read as often as passes would.
        readings.isPassDue = true;
        if (isTime) {
          readings.names = await context.kubernetes.admittedNames(signal);
          nextPassMs = clock.monotonicMs() + fullPassMs;
        }
      } else if (readings.isPassDue || isTime) {
        readings.isPassDue = false;
        await fullPass(context, signal);
        nextPassMs = clock.monotonicMs() + fullPassMs;
      } else sweep.lookAround(clock.monotonicMs());
    } catch (error) {
      readings.isPassDue = true;
      if (!signal.aborted) log.warn('A pass over the cluster has failed', errorFields(error));
    }
    sharedAddresses.flush();
    await clock.sleep(Math.min(sweepEveryMs, fullPassMs), signal).catch(() => undefined);
  }
}

/** Finds what no event reports: left-over names and credentials, time that has passed. */
async function fullPass(context: ReconcilerContext, signal: AbortSignal): Promise<void> {
  const { kubernetes, registry, readings, sweep } = context;
  const names = await kubernetes.admittedNames(signal);
  readings.names = names;
  for (const [nodeId, tier] of names)
    if (isLeftOverName(context, nodeId, tier)) await removeLeftOverName(context, nodeId, signal);
  await relistOperatorsNames(context, names, signal);
  await revokeLeftOverCredentials(context, signal);
  await inSlices(registry.workers(), async (worker) => {
    if (isAdmitted(worker) && !names.has(worker.nodeId)) await restoreName(context, worker.nodeId, signal);
    await forgetIfOver(context, worker.nodeId);
  });
  await forgetHistories(context);
  sweep.askForAll();
}

/** Only the gateway lists names with a tier: one without an admitted worker is left over from a crash or a lost store. */
function isLeftOverName({ registry, readings }: ReconcilerContext, nodeId: string, tier: string): boolean {
  const worker = registry.worker(nodeId);
  if (worker) return !isAdmitted(worker) && worker.status.kind !== 'admitting' && tier === worker.tier;
  return !isOperatorsName(tier) && readings.nodes !== undefined && !readings.nodes.has(nodeId);
}

function removeLeftOverName(
  { locks, registry, kubernetes, audit }: ReconcilerContext,
  nodeId: string,
  signal: AbortSignal,
): Promise<void> {
  return locks.run(nodeId, async () => {
    const worker = registry.worker(nodeId);
    if (worker && isAdmitted(worker)) return;
    await kubernetes.removeName(nodeId, signal);
    audit.recordLockOut('name.removed', { node_id: nodeId, reason: 'left_over' });
  });
}

async function relistOperatorsNames(
  context: ReconcilerContext,
  names: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const { nodes, expectedSinceMs: firstSeenAtMs } = context.readings;
  if (!nodes) return;
  const nowMs = context.clock.monotonicMs();
  for (const due of dueListings({ names, nodes, firstSeenAtMs, nowMs }))
    await relistDue(context, due, signal);
}

async function revokeLeftOverCredentials(context: ReconcilerContext, signal: AbortSignal): Promise<void> {
  const { kubernetes, locks, audit } = context;
  for (const { id, nodeId } of await kubernetes.joinCredentials(signal)) {
    if (isExpected(context, nodeId, id)) continue;
    await locks.run(nodeId, async () => {
      // An admission may just have made it: only with the lock is the worker's status final.
      if (isExpected(context, nodeId, id)) return;
      await kubernetes.revokeJoinCredential(id, signal);
      audit.recordLockOut('credential.revoked', { node_id: nodeId, credential: id, reason: 'left_over' });
    });
  }
}

function isExpected({ registry }: ReconcilerContext, nodeId: string, credentialId: string): boolean {
  const worker = registry.worker(nodeId);
  return worker !== undefined && credentialOf(worker)?.id === credentialId;
}

function restoreName(context: ReconcilerContext, nodeId: string, signal: AbortSignal): Promise<void> {
  const { locks, registry, kubernetes, audit } = context;
  return locks.run(nodeId, async () => {
    const worker = registry.worker(nodeId);
    // Only beside its Node: without one, the password that reserves the name may be gone too.
    if (worker?.status.kind !== 'member' || !(await kubernetes.node(nodeId, signal))) return;
    await kubernetes.admitName(admittedNameOf(context, worker), signal);
    await audit.note('name.restored', { node_id: nodeId });
  });
}

/** The binding of a name ends with its record and its Node. It is kept a day longer, so that the host learns why. */
async function forgetIfOver(context: ReconcilerContext, nodeId: string): Promise<void> {
  const { registry, locks, audit } = context;
  if (!isOver(context, registry.worker(nodeId))) return;
  await locks.run(nodeId, async () => {
    if (!isOver(context, registry.worker(nodeId))) return;
    await audit.note('name.unbound', { node_id: nodeId });
    await registry.forget(nodeId);
  });
}

/** What was remembered of a name without a worker goes once no certificate of it can live. */
async function forgetHistories({ registry, clock }: ReconcilerContext): Promise<void> {
  const over: string[] = [];
  const nowMs = clock.nowMs();
  await inSlices([...registry.histories()], (history) => {
    if (!registry.worker(history.nodeId) && isHistoryOver(history, nowMs)) over.push(history.nodeId);
  });
  const isStillFree = (nodeId: string) => !registry.worker(nodeId);
  if (over.length > 0) await registry.save({ forgottenHistories: over.filter(isStillFree) });
}

function isOver({ readings, facts, clock }: ReconcilerContext, worker: Worker | undefined): boolean {
  if (!worker || !hasLeft(worker)) return false;
  if (worker.lockedAtMs !== undefined || readings.nodes?.has(worker.nodeId) !== false) return false;
  const fact = facts.factOf(worker, undefined);
  const hasEnded = fact.kind === 'bad' && endings.has(fact.reason);
  return hasEnded && clock.nowMs() - worker.statusSinceMs > bindingTailMs;
}
