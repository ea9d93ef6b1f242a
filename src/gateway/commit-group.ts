import type { Change } from '#state';

/** One write on its way to the disk. */
export interface Commit {
  /** What is written; called when its turn comes. */
  readonly changes: () => readonly Change[];
  /**
   * It writes again what counts already, with newer figures. It comes first in its group, so that it never overwrites a
   * decision that becomes durable together with it.
   */
  readonly isRefresh?: boolean;
  /** Called once it is durable. */
  readonly apply: () => void;
}

/**
 * Writes in the order of asking, and everything that came together as one durable transaction: one transaction each would
 * wait for the disk each time, and block the main thread meanwhile.
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
      // Collects what this turn of the event loop still brings.
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
    // In the same turn as the check for waiting commits: a commit that comes right after it must start a new drain.
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
