import type { Directive, NodeEnding, StakeRecord } from 'k3s-daas/plugin';
import { drawOf, stakeEnding } from 'k3s-daas/plugin';

/** What a failed heartbeat means for the host. */
export type AfterFailure = 'wait' | 'register-again';

/** The gateway answered and refused the proof: the registration is superseded, or the gateway lost it. */
const refusalsUntilRegistering = 2;
/** The gateway does not answer: a registration tries the others. */
const silencesUntilRegistering = 3;
const repeatEvery = 10;

/** When the host registers again: after some failures in a row, then every tenth. No failure stops the agent. */
export function afterFailure(kind: 'refused' | 'silent', inARow: number): AfterFailure {
  const first = kind === 'refused' ? refusalsUntilRegistering : silencesUntilRegistering;
  return inARow >= first && (inARow - first) % repeatEvery === 0 ? 'register-again' : 'wait';
}

/** What became of a heartbeat. */
export type Outcome = 'acknowledged' | 'refused' | 'silent';

/**
 * For two seconds after a registration a gateway cannot know whether an older process on the same boot lives on or was just replaced. A
 * host that is refused asks again after them, so that it and its double are told within two heartbeats of each.
 */
const refusedRestMs = 2_500;

/** How long a host waits until its next heartbeat. `failures`: in a row, with this one. */
export function restAfterMs(
  outcome: Outcome,
  { restMs, nodeId, failures }: { restMs: number; nodeId: string; failures: number },
): number {
  if (outcome === 'silent') return spreadMs(restMs, nodeId, failures);
  return outcome === 'refused' && failures === 1 ? Math.min(restMs, refusedRestMs) : restMs;
}

/**
 * How long a host waits after a gateway did not answer: between half of its interval and all of it, different for each node
 * and attempt, so that the hosts that lost a gateway do not all return to it at the same moment.
 */
export function spreadMs(restMs: number, nodeId: string, attempt: number): number {
  return restMs * (0.5 + drawOf(nodeId, attempt) / 2);
}

/** What the host knows about its stake when a directive arrives; `unread`: the chain does not answer. */
export type OwnFact =
  | {
      readonly kind: 'read';
      readonly record: StakeRecord;
      /** The minimum in force, read when the record was slashed and is active. */
      readonly minimumMist?: bigint | undefined;
    }
  | { readonly kind: 'unread'; readonly recordId: string; readonly detail: string };

export type Reaction =
  | { readonly kind: 'stop'; readonly ending: NodeEnding }
  | { readonly kind: 'register-again' }
  /** It is about the stake: the plugin that keeps the stake decides. */
  | { readonly kind: 'pass-on' }
  /** The host does not follow it and runs on; `detail` is the reason. */
  | { readonly kind: 'doubt'; readonly detail: string };

/** What the host does about a directive that is not `stop`: nothing has to be read for it. */
export function reactTo({ kind }: Directive): Reaction {
  if (kind === 'reregister') return { kind: 'register-again' };
  if (kind === 'rotate' || kind === 'top_up') return { kind: 'pass-on' };
  return { kind: 'doubt', detail: `this version does not know the directive '${kind}'` };
}

/**
 * What the host does about a directive `stop`.
 *
 * One that names something on chain (slashed, unbonding, withdrawn, revoked, short after a slash) is followed only when the chain, read by
 * this host, agrees: a lying gateway must not end nodes. An eviction or a ban is the operator's decision and is not on
 * chain; a gateway that lies about it could delete the Node as well. It is followed and leaves no latch.
 */
export function judgeStop({ reason }: Directive, fact: OwnFact): Reaction {
  const ending = fact.kind === 'read' ? stakeEnding(fact.record, true, fact.minimumMist) : undefined;
  if (ending) return { kind: 'stop', ending: { ...ending, source: 'gateway and chain' } };
  // The Node, or the gateway's record of it, is gone while the stake is good.
  if (reason === 'not_admitted') return { kind: 'register-again' };
  const recordId = fact.kind === 'read' ? fact.record.id : fact.recordId;
  // Asked for with the node key, from this machine.
  if (reason === 'left') {
    const detail = '`k3s-daas leave` took it out of the cluster: start its host again to come back';
    return {
      kind: 'stop',
      ending: { cause: { kind: 'left', recordId, detail }, status: reason, source: 'gateway' },
    };
  }
  if (reason === 'evicted' || reason === 'banned') {
    const detail = `${reason} by the operator of the cluster`;
    const cause = { kind: 'ended', recordId, detail } as const;
    return { kind: 'stop', ending: { cause, status: reason, source: 'gateway' } };
  }
  return {
    kind: 'doubt',
    detail:
      fact.kind === 'read'
        ? `the gateway says '${reason}', the chain says that the stake is ${fact.record.status}`
        : `the gateway says '${reason}', and the chain cannot be read: ${fact.detail}`,
  };
}

/** What a directive `notice` means to the staker; a reason of a later version is shown as it is. */
export function noticeText(reason: string): string {
  if (reason === 'node_cloned') return 'another machine or process uses the key of this node';
  return reason === 'slash_proposed'
    ? 'a slash is proposed against this stake, and the node gets no new pods until that is decided: `k3s-daas slash answer` answers it'
    : reason;
}
