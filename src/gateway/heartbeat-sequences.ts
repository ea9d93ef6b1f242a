import type { Registry } from './registry.ts';
import type { Worker } from './worker.ts';

/** The highest sequence of each node's registration that was accepted: a heartbeat counts only above it. */
export interface HeartbeatSequences {
  isReplay(worker: Worker, sequence: number): boolean;
  accept(worker: Worker, sequence: number): void;
}

interface Accepted {
  readonly incarnation: number;
  readonly registeredAtMs: number;
  readonly sequence: number;
}

export function createHeartbeatSequences(registry: Pick<Registry, 'lastHeartbeat'>): HeartbeatSequences {
  const accepted = new Map<string, Accepted>();
  return {
    isReplay({ nodeId, incarnation, registeredAtMs }, sequence) {
      const last = accepted.get(nodeId);
      // A name that was released counts its incarnations from one again: the time of the registration distinguishes them.
      // Before the first heartbeat of this process, the store remembers.
      const known = last?.registeredAtMs === registeredAtMs ? last : registry.lastHeartbeat(nodeId);
      return known?.incarnation === incarnation && sequence <= known.sequence;
    },
    accept({ nodeId, incarnation, registeredAtMs }, sequence) {
      accepted.set(nodeId, { incarnation, registeredAtMs, sequence });
    },
  };
}
