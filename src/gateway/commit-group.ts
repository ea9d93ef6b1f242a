import type { Change } from './store.ts';

/** One decision on its way to the disk. */
export interface Commit {
  /** What is written; asked when its turn has come. */
  readonly changes: () => readonly Change[];
  /**
   * It writes again what counts already, with newer figures. It comes first in its group, so that it never writes the past
   * over a decision that is made durable together with it.
   */
  readonly isRefresh?: boolean;
  /** What counts once it is durable. */
  readonly apply: () => void;
}

/**
 * Writes decisions in the order of asking, and all that have come together as one durable transaction: each by itself would
 * wait for the disk once, and all others with it, since the disk is waited for on the main thread.
 */
export function createCommitGroup(write: (changes: readonly Change[]) => Promise<void>): {
  add(commit: Commit): Promise<void>;
} {
  interface Waiting extends Commit {
    readonly done: () => void;
    readonly failed: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let isWriting = false;

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      // After what this turn of the event loop still brings.
      await new Promise((resolve) => setImmediate(resolve));
      const group = waiting;
      waiting = [];
      try {
        const changes: Change[] = [];
        for (const commit of group) if (commit.isRefresh) changes.push(...commit.changes());
        for (const commit of group) if (!commit.isRefresh) changes.push(...commit.changes());
        await write(changes);
        for (const { apply } of group) apply();
        for (const { done } of group) done();
      } catch (error) {
        for (const { failed } of group) failed(error);
      }
    }
    // In the same turn as the look at what waits: a caller that goes on with its next decision must find nobody writing.
    isWriting = false;
  }

  return {
    add: (commit) =>
      new Promise((done, failed) => {
        waiting.push({ ...commit, done, failed });
        if (isWriting) return;
        isWriting = true;
        void drain();
      }),
  };
}
