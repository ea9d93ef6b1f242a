import type { ClusterNode } from '#domain';
import type { Ban } from './bans.ts';
import { decide, type EvictionReason, type StakeFact } from './decision.ts';
import { credentialOf, type LapseReason, type Presence, type Worker } from './worker.ts';

/** Everything that decides what has to be done about one worker now. */
export interface WorkerView {
  readonly worker: Worker;
  readonly node: ClusterNode | undefined;
  readonly fact: StakeFact;
  /** Of the node id or the node key. */
  readonly ban: Ban | undefined;
  readonly presence: Presence | undefined;
  readonly isBreakerTripped: boolean;
  /** The operator has listed this name as one of his own. */
  readonly isOperatorsName: boolean;
  readonly nowMs: number;
  /** After how long without a good stake a node gets no new pods. */
  readonly cordonGraceMs: number;
}

export type Step =
  /** Everything from the admitted name to the Node; begun or gone on with. */
  | { readonly kind: 'evict'; readonly reason: EvictionReason; readonly isBan: boolean }
  /** Should be evicted, but the breaker has tripped. */
  | { readonly kind: 'hold'; readonly reason: EvictionReason }
  | { readonly kind: 'unhold' }
  /** Name, credential and password are taken back; there is no Node. */
  | { readonly kind: 'lapse'; readonly reason: LapseReason }
  /** A Node of a name that is not admitted. */
  | { readonly kind: 'remove-node'; readonly reason: EvictionReason }
  /** The Node has appeared. */
  | { readonly kind: 'welcome' }
  | { readonly kind: 'mark' }
  /** The Node gets no new pods, for this reason, or gets them again. */
  | { readonly kind: 'taint'; readonly reason: string | undefined }
  | { readonly kind: 'revoke-credential' };

/**
 * What has to be done, by levels: the same view always gives the same step, whatever happened before, so that a crash,
 * a missed event or a repetition does no harm. One step at a time; the next view gives the next.
 */
export function nextStep(view: WorkerView): Step | undefined {
  const { worker, node, ban } = view;
  const { status } = worker;
  switch (status.kind) {
    case 'admitting':
      // Nobody is at it any more, or we would not have its lock.
      return { kind: 'lapse', reason: 'admission_interrupted' };
    case 'evicting':
      return { kind: 'evict', reason: status.reason, isBan: false };
    case 'evicted':
      // What unbonds can still be slashed: the ban follows then.
      return (status.reason === 'slashed' ? undefined : slashOf(view)) ?? strayNode(view, status.reason);
    case 'lapsed':
      return slashOf(view) ?? strayNode(view, 'not_admitted');
    case 'joining':
    case 'member': {
      if (ban) return { kind: 'evict', reason: 'banned', isBan: false };
      const { running, isBan } = decide({
        fact: view.fact,
        isAdmitted: true,
        isBreakerTripped: view.isBreakerTripped,
        graceMs: 0,
        isCordonDue: isCordonDue(view),
      });
      if (running.kind === 'evict') return { kind: 'evict', reason: running.reason, isBan };
      if (running.kind === 'hold' && worker.heldFor !== running.reason)
        return { kind: 'hold', reason: running.reason };
      // While nothing is known everything stays as it is.
      const isKnown = view.fact.kind !== 'unknown';
      if (running.kind !== 'hold' && isKnown && worker.heldFor !== undefined) return { kind: 'unhold' };
      if (!node) return withoutNode(view);
      const held = running.kind === 'stay' ? undefined : running.reason;
      return (
        besideNode(view, node) ??
        (isKnown && node.heldFor !== held ? { kind: 'taint', reason: held } : undefined)
      );
    }
    default:
      return status satisfies never;
  }
}

/** When time alone may ask for a step that is not due yet: a credential ends, a stake has not stood for too long. */
export function nextLookAtMs(view: WorkerView): number | undefined {
  const { worker, fact, nowMs } = view;
  const times = [credentialOf(worker)?.expiresAtMs];
  if (fact.kind === 'bad') times.push(lastGoodAtMs(view) + view.cordonGraceMs);
  const ahead = times.filter((atMs) => atMs !== undefined && atMs > nowMs) as number[];
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

/** Its stake was good at its registration, or later, when a heartbeat of it came in. */
function lastGoodAtMs({ worker, presence }: WorkerView): number {
  return Math.max(presence?.goodAtMs ?? 0, worker.registeredAtMs);
}

function isCordonDue(view: WorkerView): boolean {
  return view.nowMs - lastGoodAtMs(view) >= view.cordonGraceMs;
}

/** Of a worker that is out already: nothing is left to remove, but its ban and its directive are due. */
function slashOf({ fact, isBreakerTripped }: WorkerView): Step | undefined {
  const { running, isBan } = decide({
    fact,
    isAdmitted: false,
    isBreakerTripped,
    graceMs: 0,
    isCordonDue: false,
  });
  return running.kind === 'evict' && running.reason === 'slashed'
    ? { kind: 'evict', reason: running.reason, isBan }
    : undefined;
}

function strayNode(view: WorkerView, reason: EvictionReason): Step | undefined {
  // Since we let go of the name its operator may have given it to a node of his own.
  return view.node && !view.isOperatorsName ? { kind: 'remove-node', reason } : undefined;
}

function withoutNode({ worker, nowMs }: WorkerView): Step | undefined {
  if (worker.status.kind === 'member') return { kind: 'lapse', reason: 'node_deleted' };
  const credential = credentialOf(worker);
  return credential && credential.expiresAtMs <= nowMs
    ? { kind: 'lapse', reason: 'join_expired' }
    : undefined;
}

function besideNode(view: WorkerView, node: ClusterNode): Step | undefined {
  const { worker } = view;
  if (worker.status.kind === 'joining') return { kind: 'welcome' };
  if (node.stakeRecordId !== worker.recordId) return { kind: 'mark' };
  return isCredentialSpent(view, node) ? { kind: 'revoke-credential' } : undefined;
}

/** A join credential dies with its purpose: when the Node is Ready after it was issued; or at its end. */
function isCredentialSpent({ worker, presence, nowMs }: WorkerView, node: ClusterNode): boolean {
  const credential = credentialOf(worker);
  if (!credential) return false;
  if (credential.expiresAtMs <= nowMs) return true;
  if (!node.isReady) return false;
  if (node.uid !== credential.nodeUid) return true;
  // The Node was there before: that it is Ready may be news from before the credential.
  const isReadySince = (node.readyChangedAtMs ?? 0) > credential.issuedAtMs;
  const saysReady = presence?.incarnation === worker.incarnation && presence.agentState === 'ready';
  return isReadySince || saysReady;
}
