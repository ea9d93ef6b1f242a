import { errorFields, type Log } from '#base';
import type { HostEvents } from '#plugin';

type Listener<E extends keyof HostEvents> = (fact: HostEvents[E]) => void;

/** The facts of a host's life: each is logged with the field `event`, then told to who listens. */
export interface HostEventBus {
  emit<E extends keyof HostEvents>(event: E, fact: HostEvents[E]): void;
  /** Returns how to stop listening. A listener that throws is logged and changes nothing else. */
  on<E extends keyof HostEvents>(event: E, listener: Listener<E>): () => void;
  listenerCount(): number;
}

/** One constant sentence for each event; its facts are the record's fields. */
const sentences: { readonly [E in keyof HostEvents]: string } = {
  'phase.entered': 'Phase entered',
  'stake.created': 'Stake created',
  'stake.found': 'Stake found',
  'seal.minted': 'Seal token minted',
  'seal.found': 'Seal token found',
  'worker.registered': 'Worker registered',
  'agent.started': 'Agent started',
  'agent.ready': 'Agent ready',
  'agent.exited': 'Agent exited',
  'agent.refused': 'Agent refused',
  'agent.stopped': 'Agent stopped',
  'agent.state.changed': 'Agent state changed',
  'heartbeat.acknowledged': 'Heartbeat acknowledged',
  'heartbeat.failed': 'Heartbeat failed',
  'stake.slashed': 'Stake slashed',
  'stake.ended': 'Stake ended',
  'latch.written': 'Latch written',
  'host.ended': 'Host ended',
};

export function createEventBus(log: Log): HostEventBus {
  const listeners = new Map<keyof HostEvents, Set<(fact: never) => void>>();
  return {
    emit(event, fact) {
      const level = event === 'host.ended' && 'error' in fact && fact.error !== undefined ? 'error' : 'info';
      log[level](sentences[event] ?? 'Event of a plugin', { event, ...fact });
      // A listener may add or remove listeners: those of this moment are told.
      const told = Array.from(listeners.get(event) ?? []);
      for (const listener of told) {
        try {
          // An async listener's failure would otherwise end the process as an unhandled rejection.
          const result: unknown = (listener as (fact: unknown) => unknown)(fact);
          if (result instanceof Promise) result.catch(report);
        } catch (error) {
          report(error);
        }
      }
      function report(error: unknown): void {
        log.error('A listener failed', { event, ...errorFields(error) });
      }
    },
    on(event, listener) {
      const known = listeners.get(event) ?? new Set();
      listeners.set(event, known);
      // Wrapped, so that the same function registered twice is two registrations, each undone by its own return value.
      const entry = (fact: never) => listener(fact);
      known.add(entry);
      return () => void known.delete(entry);
    },
    listenerCount: () => listeners.values().reduce((count, { size }) => count + size, 0),
  };
}
