import type { KubernetesNode } from '#domain';
import type { Ban } from './bans.ts';
import { decide, type EvictionReason, type StakeFact } from './decision.ts';
import { credentialOf, type ExpiryReason, type LastHeartbeat, type Worker } from './worker.ts';

/** Everything that decides what has to be done about one worker now. */
export interface WorkerView {
  readonly worker: Worker;
  readonly node: KubernetesNode | undefined;
  readonly fact: StakeFact;
  /** Of the node id or the node key. */
  readonly ban: Ban | undefined;
  readonly lastHeartbeat: LastHeartbeat | undefined;
  readonly isBreakerTripped: boolean;
  /** The operator has listed this name as one of their own. */
  readonly isOperatorsName: boolean;
  readonly nowMs: number;
  /** After how long without a good stake a node is cordoned. */
  readonly cordonGraceMs: number;
  /** Until when a slash proposal keeps it in quarantine; `undefined`: it is in none. */
  readonly quarantineUntilMs?: number | undefined;
}

export type Step =
  /** Everything from the admitted name to the Node; begins or continues an eviction. */
  | {
      readonly kind: 'evict';
      readonly reason: EvictionReason;
      readonly isBan: boolean;
      /** Of the fact behind it: the breaker has no say. */
      readonly isCertain?: boolean;
    }
  /** The node should be evicted, but the breaker has tripped. */
  | { readonly kind: 'hold-eviction'; readonly reason: EvictionReason }
  /** There is no reason for the held eviction any more. */
  | { readonly kind: 'release-eviction' }
  /** Name, credential and password are taken back; there is no Node. */
  | { readonly kind: 'expire-admission'; readonly reason: ExpiryReason }
  /** An orphan: a Node whose name is not admitted. */
  | { readonly kind: 'remove-orphan'; readonly reason: EvictionReason }
  /** The Node has appeared. */
  | { readonly kind: 'confirm-joined' }
  /** The Node is Ready for the first time: a machine stands behind the stake. */
  | { readonly kind: 'note-ready' }
  | { readonly kind: 'mark' }
  /** The cluster is to know which certificates of the name count, and whether it is contested. */
  | { readonly kind: 'list-name' }
  /** The Node is Ready on the certificates that were shown last: the older ones count no longer. */
  | { readonly kind: 'confirm-certificates' }
  /** The Node gets no new pods, for this reason. */
  | { readonly kind: 'cordon'; readonly reason: string }
  | { readonly kind: 'uncordon' }
  | { readonly kind: 'revoke-credential' };

/**
 * What has to be done, driven by levels: the same view always gives the same step, whatever happened before, so that a
 * crash, a missed event or a repetition does no harm. One step at a time; the next view gives the next step.
 */
export function nextStep(view: WorkerView): Step | undefined {
  const { status } = view.worker;
  switch (status.kind) {
    case 'admitting':
      // No admission is in progress: it would hold the lock under which this is decided.
      return { kind: 'expire-admission', reason: 'admission_interrupted' };
    case 'evicting':
      return { kind: 'evict', reason: status.reason, isBan: false };
    case 'evicted':
      // A stake that unbonds can still be slashed: the ban follows then.
      return (status.reason === 'slashed' ? undefined : lateSlash(view)) ?? orphanNode(view, status.reason);
    case 'lapsed':
      return lateSlash(view) ?? orphanNode(view, 'not_admitted');
    case 'joining':
    case 'member':
      return stepOfAdmitted(view);
    default:
      return status satisfies never;
  }
}

function stepOfAdmitted(view: WorkerView): Step | undefined {
  const { worker, node, ban } = view;
  if (ban) return { kind: 'evict', reason: 'banned', isBan: false };
  const { running, isBan } = decide({
    fact: view.fact,
    isAdmitted: true,
    isBreakerTripped: view.isBreakerTripped,
    graceMs: 0,
    isCordonDue: isCordonDue(view),
    isInQuarantine: view.quarantineUntilMs !== undefined,
  });
  if (running.kind === 'evict') return { ...running, isBan };
  if (running.kind === 'hold-eviction' && worker.heldFor !== running.reason)
    return { kind: 'hold-eviction', reason: running.reason };
  // While nothing is known everything stays as it is.
  const isKnown = view.fact.kind !== 'unknown';
  if (running.kind !== 'hold-eviction' && isKnown && worker.heldFor !== undefined)
    return { kind: 'release-eviction' };
  if (!node) return withoutNode(view) ?? (worker.isListingDue ? { kind: 'list-name' } : undefined);
  const cordonReason = running.kind === 'stay' ? undefined : running.reason;
  return besideNode(view, node) ?? (isKnown ? cordonStep(node, cordonReason) : undefined);
}

function cordonStep({ cordonedFor }: KubernetesNode, reason: string | undefined): Step | undefined {
  if (cordonedFor === reason) return undefined;
  return reason === undefined ? { kind: 'uncordon' } : { kind: 'cordon', reason };
}

/** When time alone may make a step due: a credential ends, a stake has not been good for too long. */
export function nextLookAtMs(view: WorkerView): number | undefined {
  const { worker, fact, nowMs } = view;
  const times = [credentialOf(worker)?.expiresAtMs, view.quarantineUntilMs];
  if (fact.kind === 'bad') times.push(lastGoodAtMs(view) + view.cordonGraceMs);
  const ahead = times.filter((atMs) => atMs !== undefined && atMs > nowMs) as number[];
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

/** Its stake was good at its registration, or later, when one of its heartbeats came in. */
function lastGoodAtMs({ worker, lastHeartbeat }: WorkerView): number {
  return Math.max(lastHeartbeat?.goodAtMs ?? 0, worker.registeredAtMs);
}

function isCordonDue(view: WorkerView): boolean {
  return view.nowMs - lastGoodAtMs(view) >= view.cordonGraceMs;
}

/** Of a worker that is out already: nothing is left to remove, but its ban and its directive are due. */
function lateSlash({ fact, isBreakerTripped }: WorkerView): Step | undefined {
  const { running, isBan } = decide({
    fact,
    isAdmitted: false,
    isBreakerTripped,
    graceMs: 0,
    isCordonDue: false,
  });
  return running.kind === 'evict' && running.reason === 'slashed' ? { ...running, isBan } : undefined;
}

function orphanNode(view: WorkerView, reason: EvictionReason): Step | undefined {
  // The operator may have given the released name to a node of their own since.
  return view.node && !view.isOperatorsName ? { kind: 'remove-orphan', reason } : undefined;
}

function withoutNode({ worker, nowMs }: WorkerView): Step | undefined {
  if (worker.status.kind === 'member') return { kind: 'expire-admission', reason: 'node_deleted' };
  const credential = credentialOf(worker);
  return credential && credential.expiresAtMs <= nowMs
    ? { kind: 'expire-admission', reason: 'join_expired' }
    : undefined;
}

function besideNode(view: WorkerView, node: KubernetesNode): Step | undefined {
  const { worker } = view;
  if (worker.isListingDue) return { kind: 'list-name' };
  if (worker.status.kind === 'joining') return { kind: 'confirm-joined' };
  const isMarked =
    node.stakeRecordId === worker.recordId &&
    node.tier === worker.tier &&
    node.staker === worker.staker &&
    node.attestation === worker.attestation?.kind;
  if (!isMarked) return { kind: 'mark' };
  if (isReadyOnShown(view, node)) return { kind: 'confirm-certificates' };
  if (node.isReady && worker.firstReadyAtMs === undefined) return { kind: 'note-ready' };
  return isCredentialSpent(view, node) ? { kind: 'revoke-credential' } : undefined;
}

/** A Node stays Ready through the restart of its agent: the host says when the new agent is. */
function isReadyOnShown({ worker, lastHeartbeat }: WorkerView, node: KubernetesNode): boolean {
  const { shownAtMs } = worker.certificates;
  if (shownAtMs === undefined || !node.isReady || !lastHeartbeat) return false;
  const isCurrent = lastHeartbeat.incarnation === worker.incarnation;
  return isCurrent && lastHeartbeat.agentState === 'ready' && lastHeartbeat.lastHeartbeatMs > shownAtMs;
}

/** A join credential ends with its purpose: when the Node is Ready after it was issued, or when it expires. */
function isCredentialSpent({ worker, lastHeartbeat, nowMs }: WorkerView, node: KubernetesNode): boolean {
  const credential = credentialOf(worker);
  if (!credential) return false;
  if (credential.expiresAtMs <= nowMs) return true;
  if (!node.isReady) return false;
  if (node.uid !== credential.nodeUid) return true;
  // The Node existed before: its Ready condition may be older than the credential.
  const isReadySince = (node.readyChangedAtMs ?? 0) > credential.issuedAtMs;
  const reportsReady =
    lastHeartbeat?.incarnation === worker.incarnation && lastHeartbeat.agentState === 'ready';
  return isReadySince || reportsReady;
}
