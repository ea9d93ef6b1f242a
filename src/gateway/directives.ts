import { decide, type StakeFact } from './decision.ts';
import type { Worker } from './worker.ts';

export interface Directive {
  readonly kind: 'stop' | 'reregister' | 'rotate' | 'top_up';
  readonly reason: string;
}

/**
 * The directives in the reply to a heartbeat. `stop` follows from an eviction that was decided, never from a fact alone:
 * the breaker may hold the eviction.
 */
export function directivesFor(
  worker: Worker,
  fact: StakeFact,
  isBreakerTripped: boolean,
): readonly Directive[] {
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
    case 'member': {
      const { directive } = decide({
        fact,
        isAdmitted: true,
        isBreakerTripped,
        graceMs: 0,
        isCordonDue: false,
      });
      return directive && directive.kind !== 'stop'
        ? [{ kind: directive.kind, reason: directive.reason }]
        : [];
    }
    default:
      return status satisfies never;
  }
}
