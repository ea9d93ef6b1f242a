import { continueEviction, removeOrphan } from './eviction.ts';
import {
  confirmCertificates,
  confirmJoined,
  cordon,
  expireAdmission,
  holdEviction,
  listName,
  noteReady,
  releaseEviction,
  revokeSpentCredential,
  uncordon,
} from './membership.ts';
import { nextStep, type Step } from './next-step.ts';
import { type ReconcilerContext, scheduleNextLook, viewOf } from './reconciler-context.ts';
import { relist } from './relisting.ts';
import type { Worker } from './worker.ts';

/** More steps for one node in one go than any path through the plan has. */
const mostSteps = 12;

/** Takes one step after the other, under the node's lock, until none is due. */
export function reconcileWorker(
  context: ReconcilerContext,
  nodeId: string,
  signal: AbortSignal,
): Promise<void> {
  return context.locks.run(nodeId, async () => {
    for (let count = 0; count < mostSteps; count += 1) {
      if (signal.aborted || !context.isActing() || (await isDone(context, nodeId, signal))) return;
    }
    throw new Error('the steps do not come to an end');
  });
}

/** Takes the next step of a node; resolves with `true` when none is due. */
async function isDone(context: ReconcilerContext, nodeId: string, signal: AbortSignal): Promise<boolean> {
  const { registry, kubernetes, sightings } = context;
  const known = registry.worker(nodeId);
  const lockOut = known && lockOutStep(context, known);
  if (lockOut) {
    await takeStep(context, lockOut, known, signal);
    return false;
  }
  // Only now: a lock-out does not wait for a listing.
  await sightings.follow(nodeId, (listing) => relist(context, listing, signal));
  const worker = registry.worker(nodeId);
  if (!worker) return true;
  // Read from the API server itself: the watch may be behind the step just taken.
  const view = viewOf(context, worker, await kubernetes.node(nodeId, signal));
  const step = nextStep(view);
  if (step) await takeStep(context, step, worker, signal);
  else scheduleNextLook(context, view);
  return step === undefined;
}

/**
 * An eviction is decided without asking the API server: while that is away or hangs, the node is refused all the same, and
 * its host gets the directive to stop.
 */
function lockOutStep(context: ReconcilerContext, worker: Worker): Step | undefined {
  const step = nextStep(viewOf(context, worker, undefined));
  return step?.kind === 'evict' || step?.kind === 'hold-eviction' ? step : undefined;
}

async function takeStep(
  context: ReconcilerContext,
  step: Step,
  worker: Worker,
  signal: AbortSignal,
): Promise<void> {
  const { nodeId, recordId, tier, staker, attestation } = worker;
  switch (step.kind) {
    case 'evict':
      return continueEviction(context, worker, step, signal);
    case 'hold-eviction':
      return holdEviction(context, worker, step.reason);
    case 'release-eviction':
      return releaseEviction(context, worker);
    case 'expire-admission':
      return expireAdmission(context, worker, step.reason, signal);
    case 'remove-orphan':
      return removeOrphan(context, nodeId, step.reason, signal);
    case 'confirm-joined':
      return confirmJoined(context, worker);
    case 'note-ready':
      return noteReady(context, worker);
    case 'mark':
      return context.kubernetes.markNode(
        { nodeId, recordId, tier, staker, attestation: attestation?.kind },
        signal,
      );
    case 'list-name':
      return listName(context, worker, signal);
    case 'confirm-certificates':
      return confirmCertificates(context, worker);
    case 'cordon':
      return cordon(context, nodeId, step.reason, signal);
    case 'uncordon':
      return uncordon(context, nodeId, signal);
    case 'revoke-credential':
      return revokeSpentCredential(context, worker, signal);
    default:
      return step satisfies never;
  }
}
