import { createDueTimes } from './due-times.ts';
import { inSlicesOf } from './slices.ts';
import type { Worker } from './worker.ts';

/** When workers are looked at though nothing has told of them. */
export interface Sweep {
  /** Looks at all of them soon, in slices that let others have the thread in between. */
  askForAll(): void;
  /** Looks at one again at this time, by the monotonic clock; `undefined`: at no time. */
  lookAt(nodeId: string, atMs: number | undefined): void;
  /** Looks at those whose time has come, and at a slice of the others, whatever may have been missed. */
  lookAround(nowMs: number): void;
}

/** How many are looked at in one go. */
export const SWEEP_SLICE = 500;

export function createSweep(workers: () => readonly Worker[], look: (nodeId: string) => void): Sweep {
  const times = createDueTimes();
  let isAsked = false;
  let isSweeping = false;
  let rotation: readonly Worker[] = [];

  async function sweep(): Promise<void> {
    while (isAsked) {
      isAsked = false;
      await inSlicesOf(SWEEP_SLICE, workers(), ({ nodeId }) => look(nodeId));
    }
    // In the same turn as the last look at what is asked for.
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
