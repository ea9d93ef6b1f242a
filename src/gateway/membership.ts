import { isDeepStrictEqual } from 'node:util';
import { revokeAccess } from './access.ts';
import { afterReady } from './certificates.ts';
import { admittedNameOf } from './contested-names.ts';
import type { EvictionReason } from './decision.ts';
import type { ReconcilerContext } from './reconciler-context.ts';
import { credentialOf, type ExpiryReason, type Worker, withStatus } from './worker.ts';

/** The Node of a joining worker has appeared: it is a member now. */
export async function confirmJoined(
  { audit, registry, clock, log }: ReconcilerContext,
  worker: Worker,
): Promise<void> {
  const { nodeId } = worker;
  const status = { kind: 'member', credential: credentialOf(worker) } as const;
  // Not a lock-out, but it admits nothing new either: the Node exists, and its credential is revoked after this.
  audit.record('node.appeared', { node_id: nodeId });
  await registry.decide({ worker: withStatus(worker, status, clock.nowMs()) });
  log.info('A node has joined', { event: 'node.joined', nodeId });
}

/** Tells the cluster which certificates of the name count, and whether it is contested. The caller holds the node's lock. */
export async function listName(
  context: Pick<ReconcilerContext, 'kubernetes' | 'registry' | 'clock'>,
  worker: Worker,
  signal?: AbortSignal,
): Promise<void> {
  const { kubernetes, registry } = context;
  const listed = admittedNameOf(context, worker);
  await kubernetes.admitName(listed, signal);
  const now = registry.worker(worker.nodeId);
  // A mark may have come meanwhile: the name is listed once more then.
  if (now && isDeepStrictEqual(admittedNameOf(context, now), listed))
    await registry.save({ worker: { ...now, isListingDue: false } });
}

/** The Node is Ready on the newer certificates. Not a lock-out, but it admits nothing new either. */
export function confirmCertificates({ registry }: ReconcilerContext, worker: Worker): Promise<void> {
  const certificates = afterReady(worker.certificates);
  return registry.decide({ worker: { ...worker, certificates, isListingDue: true } });
}

/** Its loss counts for the breaker from now on. */
export function noteReady({ registry, clock }: ReconcilerContext, worker: Worker): Promise<void> {
  return registry.save({ worker: { ...worker, firstReadyAtMs: clock.nowMs() } });
}

/** Takes back name, credential and password of an admission without a Node. The caller holds the node's lock. */
export async function expireAdmission(
  context: ReconcilerContext,
  worker: Worker,
  reason: ExpiryReason,
  signal?: AbortSignal,
): Promise<void> {
  const { kubernetes, audit, registry, clock, log } = context;
  const { nodeId } = worker;
  await revokeAccess(context, nodeId, signal);
  await kubernetes.releaseNodePassword(nodeId, signal);
  audit.recordLockOut('admission.lapsed', { node_id: nodeId, reason });
  await registry.decide({ worker: withStatus(worker, { kind: 'lapsed', reason }, clock.nowMs()) });
  log.info('An admission has expired', { event: 'node.admission_expired', nodeId, reason });
}

/** The join credential of a member has served its purpose, or its time has passed. */
export async function revokeSpentCredential(
  { kubernetes, audit, registry }: ReconcilerContext,
  worker: Worker,
  signal: AbortSignal,
): Promise<void> {
  const credential = credentialOf(worker);
  if (!credential) return;
  await kubernetes.revokeJoinCredential(credential.id, signal);
  audit.recordLockOut('credential.revoked', { node_id: worker.nodeId, credential: credential.id });
  const status = { kind: 'member', credential: undefined } as const;
  await registry.decide({ worker: withStatus(worker, status, worker.statusSinceMs) });
}

/** The breaker has tripped: the operator decides about this eviction. */
export function holdEviction(
  { audit, registry, log }: ReconcilerContext,
  worker: Worker,
  reason: EvictionReason,
): Promise<void> {
  const { nodeId } = worker;
  log.warn('The breaker has tripped: an eviction is held until the operator decides', {
    event: 'node.eviction_held',
    nodeId,
    reason,
  });
  audit.recordLockOut('node.held', { node_id: nodeId, reason });
  return registry.decide({ worker: { ...worker, heldFor: reason } });
}

/** The facts are good again: there is nothing to evict. */
export async function releaseEviction({ audit, registry }: ReconcilerContext, worker: Worker): Promise<void> {
  await audit.note('node.unheld', { node_id: worker.nodeId });
  await registry.save({ worker: { ...worker, heldFor: undefined } });
}

export async function cordon(
  { kubernetes, audit, log }: ReconcilerContext,
  nodeId: string,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  await kubernetes.cordonNode({ nodeId, reason }, signal);
  audit.record('node.hold_tainted', { node_id: nodeId, reason });
  log.warn('A node is cordoned: it gets no new pods', { event: 'node.cordoned', nodeId, reason });
}

export async function uncordon(
  { kubernetes, audit, log }: ReconcilerContext,
  nodeId: string,
  signal: AbortSignal,
): Promise<void> {
  await kubernetes.uncordonNode(nodeId, signal);
  audit.record('node.hold_taint_removed', { node_id: nodeId });
  log.info('A node is uncordoned: it gets new pods again', { event: 'node.uncordoned', nodeId });
}
