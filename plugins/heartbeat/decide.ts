import { createHash } from 'node:crypto';
import type { Directive, NodeEnding, StakeRecord } from 'k3s-daas/plugin';
import { stakeEnding } from 'k3s-daas/plugin';

/** What a failed heartbeat means for the host. */
export type AfterFailure = 'wait' | 'register-again';

/** The gateway answered and did not accept the proof: an incarnation that was superseded, or a gateway that forgot us. */
const refusalsUntilRegistering = 2;
/** The gateway does not answer: registering goes along the list of gateways. */
const silencesUntilRegistering = 3;
const repeatEvery = 10;

/**
 * After how many failures in a row the host registers again; and then every so often, for as long as they go on. None of
 * them ever stops the agent.
 */
export function afterFailure(kind: 'refused' | 'silent', inARow: number): AfterFailure {
  const first = kind === 'refused' ? refusalsUntilRegistering : silencesUntilRegistering;
  return inARow >= first && (inARow - first) % repeatEvery === 0 ? 'register-again' : 'wait';
}

/**
 * How long a host waits after a gateway did not answer: between a half and the whole of its interval, each node and each
 * attempt otherwise, so that all the hosts that lost a gateway do not return to it at one moment.
 */
export function spreadMs(restMs: number, nodeId: string, attempt: number): number {
  const drawn = createHash('sha256').update(`${nodeId} ${attempt}`).digest().readUInt32BE(0) / 2 ** 32;
  return restMs * (0.5 + drawn / 2);
}

/** What the host knows of its own stake when a directive arrives; `unread` when the chain does not answer. */
export type OwnFact =
  | { readonly kind: 'read'; readonly record: StakeRecord }
  | { readonly kind: 'unread'; readonly recordId: string; readonly detail: string };

export type Reaction =
  | ({ readonly kind: 'stop' } & NodeEnding)
  | { readonly kind: 'register-again' }
  /** Not believed, or not known: `detail` says why. The host goes on. */
  | { readonly kind: 'doubt'; readonly detail: string };

/**
 * What follows from a directive.
 *
 * `stop` for something the chain would know (slashed, unbonding, withdrawn, revoked) is the gateway's word, and one word
 * is not enough: the chain, read by this host, has to say so as well. An eviction or a ban is the operator's own decision
 * about the operator's own cluster: there is nothing on chain to compare it with, and a gateway that lied about it could as
 * well have deleted the Node. It is believed, and leaves no latch, so that it costs the staker nothing for good.
 */
export function reactTo(directive: Directive, fact: OwnFact): Reaction {
  if (directive.kind === 'reregister') return { kind: 'register-again' };
  if (directive.kind !== 'stop')
    return { kind: 'doubt', detail: `this version does not know the directive '${directive.kind}'` };
  const ending = fact.kind === 'read' ? stakeEnding(fact.record, true) : undefined;
  if (ending) return { kind: 'stop', ...ending, source: 'gateway and chain' };
  const { reason } = directive;
  // Nobody's fault: the Node or the gateway's memory of it is gone while the stake is good.
  if (reason === 'not_admitted') return { kind: 'register-again' };
  if (reason === 'evicted' || reason === 'banned') {
    const recordId = fact.kind === 'read' ? fact.record.id : fact.recordId;
    const detail = `${reason} by the operator of the cluster`;
    return { kind: 'stop', cause: { kind: 'ended', recordId, detail }, status: reason, source: 'gateway' };
  }
  return {
    kind: 'doubt',
    detail:
      fact.kind === 'read'
        ? `the gateway says '${reason}', the chain says that the stake is ${fact.record.status}`
        : `the gateway says '${reason}', and the chain cannot be read: ${fact.detail}`,
  };
}
