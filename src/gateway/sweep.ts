import { inSlices } from '#base';
import { createDueTimes } from './due-times.ts';
import type { Worker } from './worker.ts';

/** Looks at workers without an event. */
export interface Sweep {
  /** Looks at all workers soon, in slices between which other work gets the thread. */
  askForAll(): void;
  /** Looks at a worker again at this time, by the monotonic clock; `undefined` cancels that. */
  lookAt(nodeId: string, atMs: number | undefined): void;
  /** Looks at the workers whose time has come, and at a slice of the others, in case an event was missed. */
  lookAround(nowMs: number): void;
}

/** How many workers are looked at without a pause, at most. */
const SWEEP_SLICE = 500;

export function createSweep(workers: () => readonly Worker[], look: (nodeId: string) => void): Sweep {
  const times = createDueTimes();
  let isAsked = false;
  let isSweeping = false;
  let rotation: readonly Worker[] = [];

  async function sweep(): Promise<void> {
    while (isAsked) {
      isAsked = false;
      await inSlices(workers(), ({ nodeId }) => look(nodeId), { most: SWEEP_SLICE });
    }
    // In the same turn as the last check of `isAsked`.
    isSweeping = false;
  }

  return {
    askForAll() {
      isAsked = true;
      if (isSweeping) return;
      isSweeping = true;
      void sweep();
    },
    lookAt(nodeId, atMs) {
      if (atMs === undefined) times.delete(nodeId);
      else times.set(nodeId, atMs);
    },
    lookAround(nowMs) {
      for (const nodeId of times.take(nowMs, SWEEP_SLICE)) look(nodeId);
      if (rotation.length === 0) rotation = workers();
      for (const { nodeId } of rotation.slice(0, SWEEP_SLICE)) look(nodeId);
      rotation = rotation.slice(SWEEP_SLICE);
    },
  };
}
