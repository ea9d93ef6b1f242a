import { decide, QUARANTINE, type StakeFact } from './decision.ts';
import type { Worker } from './worker.ts';

export interface Directive {
  /** `notice`: nothing to do now, but the staker should know. */
  readonly kind: 'stop' | 'reregister' | 'rotate' | 'top_up' | 'notice';
  readonly reason: string;
}

/** Reason of the notice that another machine uses the key of the node. */
const CLONED = 'node_cloned';

interface Grounds {
  readonly fact: StakeFact;
  readonly isBreakerTripped: boolean;
  /** A slash proposal keeps the node in quarantine. */
  readonly isInQuarantine: boolean;
}

/**
 * The directives in the reply to a heartbeat. `stop` follows from an eviction that was decided, never from a fact alone:
 * the breaker may hold the eviction.
 */
export function directivesFor(worker: Worker, grounds: Grounds): readonly Directive[] {
  const { status } = worker;
  switch (status.kind) {
    case 'evicting':
    case 'evicted':
      return [{ kind: 'stop', reason: status.reason }];
    case 'lapsed':
      return [{ kind: 'reregister', reason: status.reason }];
    case 'admitting':
      return [];
    case 'joining':
    case 'member':
      return [
        ...directivesToRunning(grounds),
        ...(worker.clone ? [{ kind: 'notice', reason: CLONED } as const] : []),
      ];
    default:
      return status satisfies never;
  }
}

function directivesToRunning({ isInQuarantine, ...grounds }: Grounds): readonly Directive[] {
  const { directive } = decide({ ...grounds, isAdmitted: true, graceMs: 0, isCordonDue: false });
  return [
    ...(directive && directive.kind !== 'stop' ? [{ kind: directive.kind, reason: directive.reason }] : []),
    ...(isInQuarantine ? [{ kind: 'notice', reason: QUARANTINE } as const] : []),
  ];
}
