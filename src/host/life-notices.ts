import type { Clock } from '#base';
import type { HostEvents } from '#plugin';
import { factsOf } from './errors.ts';
import type { HostEventBus } from './events.ts';
import type { HostOutcome } from './lifecycle.ts';

/** How long an agent that was Ready may not be. */
const agentNotReadyAfterMs = 300_000;

/** Raises what the host itself knows: an agent that is not Ready for long, and the end of the stake. */
export function raiseLifeNotices({
  events,
  clock,
  signal,
}: {
  readonly events: HostEventBus;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): void {
  let waiting: AbortController | undefined;
  events.on('agent.state.changed', ({ from, to }) => {
    if (to === 'ready' || to === 'stopped') {
      waiting?.abort();
      waiting = undefined;
      if (to === 'ready') events.emit('attention.ended', { kind: 'agent_not_ready' });
    } else if (from === 'ready') {
      waiting = new AbortController();
      clock.sleep(agentNotReadyAfterMs, AbortSignal.any([waiting.signal, signal])).then(
        () => events.emit('attention.needed', agentNotReady),
        () => undefined,
      );
    }
  });
  events.on('stake.slashed', ({ recordId }) =>
    events.emit('attention.needed', evicted(recordId, 'the stake was slashed')),
  );
  events.on('stake.ended', ({ recordId, status }) =>
    events.emit('attention.needed', evicted(recordId, `the node is out: ${status}`)),
  );
}

/** The host ends with an error: what a service manager shows is seen by few. */
export function raiseHostEnded(events: HostEventBus, { error, exitCode }: HostOutcome): void {
  if (!error) return;
  events.emit('attention.needed', {
    kind: 'host_ended',
    severity: 'critical',
    summary: `the host ends with exit code ${exitCode}: ${error.message}`,
    remedy: `see ${factsOf(error).code} in docs/errors.md`,
  });
}

const agentNotReady: HostEvents['attention.needed'] = {
  kind: 'agent_not_ready',
  severity: 'warning',
  summary: `the agent has not been Ready for ${agentNotReadyAfterMs / 60_000} minutes`,
  remedy: 'look at its log, and run `k3s-daas doctor`',
};

function evicted(recordId: string, summary: string): HostEvents['attention.needed'] {
  return {
    kind: 'evicted',
    severity: 'critical',
    summary,
    remedy: 'docs/operations.md, "A node that was evicted", says what brings it back',
    subject: recordId,
  };
}
