import { errorFields, type Log } from '#base';
import type { HostEvents } from '#plugin';

type Listener<E extends keyof HostEvents> = (fact: HostEvents[E]) => void;

/** The facts of a host's life: each is logged with the field `event`, then passed to the listeners. */
export interface HostEventBus {
  emit<E extends keyof HostEvents>(event: E, fact: HostEvents[E]): void;
  /**
   * Returns a function that stops listening. A listener that throws is logged, with the plugin that it belongs to, and
   * changes nothing else.
   */
  on<E extends keyof HostEvents>(event: E, listener: Listener<E>, plugin?: string): () => void;
  listenerCount(): number;
}

interface Entry {
  readonly listener: (fact: never) => void;
  readonly plugin: string | undefined;
}

/** The constant message of each event; its facts are the fields of the record. */
const sentences: { readonly [E in keyof HostEvents]: string } = {
  'phase.entered': 'Phase entered',
  'stake.created': 'Stake created',
  'stake.found': 'Stake found',
  'seal.minted': 'Seal token minted',
  'seal.found': 'Seal token found',
  'seal.read': 'Seal token read',
  'seal.rotated': 'Seal token rotated',
  'node.key.changed': 'Node key changed',
  'registration.begun': 'Registration begun',
  'registration.failed': 'Registration failed',
  'worker.registered': 'Worker registered',
  'agent.started': 'Agent started',
  'agent.ready': 'Agent ready',
  'agent.exited': 'Agent exited',
  'agent.refused': 'Agent refused',
  'agent.stopped': 'Agent stopped',
  'agent.state.changed': 'Agent state changed',
  'certificates.vouched': 'Certificates vouched',
  'heartbeat.acknowledged': 'Heartbeat acknowledged',
  'gateway.directive': 'Directive of the gateway',
  'heartbeat.failed': 'Heartbeat failed',
  'stake.slashed': 'Stake slashed',
  'stake.ended': 'Stake ended',
  'attention.needed': 'Attention needed',
  'attention.ended': 'Attention no longer needed',
  'latch.written': 'Latch written',
  'host.ended': 'Host ended',
};

function levelOf(event: keyof HostEvents, fact: object): 'info' | 'warn' | 'error' {
  if (event === 'host.ended' && 'error' in fact && fact.error !== undefined) return 'error';
  if (event === 'attention.needed' && 'severity' in fact && fact.severity !== 'info') return 'warn';
  return 'info';
}

export function createEventBus(log: Log): HostEventBus {
  const listeners = new Map<keyof HostEvents, Set<Entry>>();
  return {
    emit(event, fact) {
      log[levelOf(event, fact)](sentences[event] ?? 'Event of a plugin', { event, ...fact });
      // A copy: a listener can add or remove listeners.
      for (const { listener, plugin } of Array.from(listeners.get(event) ?? [])) {
        const report = (error: unknown) =>
          log.error('A listener failed', {
            event,
            ...(plugin !== undefined && { plugin }),
            ...errorFields(error),
          });
        try {
          // An async listener's failure would otherwise end the process as an unhandled rejection.
          const result: unknown = (listener as (fact: unknown) => unknown)(fact);
          if (result instanceof Promise) result.catch(report);
        } catch (error) {
          report(error);
        }
      }
    },
    on(event, listener, plugin) {
      const known = listeners.get(event) ?? new Set();
      listeners.set(event, known);
      // An object of its own: a function that is registered twice is undone twice.
      const entry: Entry = { listener, plugin };
      known.add(entry);
      return () => void known.delete(entry);
    },
    listenerCount: () => listeners.values().reduce((count, { size }) => count + size, 0),
  };
}
