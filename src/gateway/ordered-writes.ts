import { messageOf, traced } from '#base';
import { isDiskFull } from '#infrastructure';
import type { Change, Store } from '#state';
import { createCommitGroup } from './commit-group.ts';
import type { DiskReserve } from './disk-reserve.ts';

/**
 * The registry's way to the disk. Three kinds of writes meet here: a save counts once it is durable, a decision counts
 * before, a refresh only writes newer figures. All are written in the order of asking.
 */
export interface OrderedWrites {
  /** What is written when its turn comes; counts only then. Rejects when it could not be written. */
  save(save: OrderedSave): Promise<void>;
  /** Writes what counts already as soon as it can be written; until then it is owed. Never rejects. */
  owe(changes: readonly Change[]): Promise<void>;
  /** Tries to write what is owed. Never rejects. */
  writeOwed(): Promise<void>;
  /** Newer figures of what counts already. Rejects when they could not be written. */
  refresh(changes: () => readonly Change[]): Promise<void>;
  hasOwed(): boolean;
  /** Why owed changes could not be written yet, if there are any. */
  failure(): string | undefined;
}

interface OrderedSave {
  readonly changes: () => readonly Change[];
  /** `overtaken`: the keys that were decided on while this save was in progress; the decision stands. */
  readonly apply: (overtaken: ReadonlySet<string>) => void;
}

interface Writes {
  readonly store: Store;
  readonly reserve: DiskReserve | undefined;
  /** Decided and not written yet. */
  readonly owed: Map<string, Change>;
  failure: string | undefined;
}

const noOptions = () => ({});

export function createOrderedWrites(store: Store, reserve: DiskReserve | undefined): OrderedWrites {
  const writes: Writes = { store, reserve, owed: new Map(), failure: undefined };
  const commits = createCommitGroup((changes) => writeGroup(writes, changes));
  /** The overtaken keys of each save in progress. */
  const underway = new Set<Set<string>>();

  const writeOwed = () =>
    traced('state.save', noOptions, () => commits.add({ changes: () => [], apply: () => undefined })).catch(
      () => undefined,
    );

  return {
    async save({ changes, apply }) {
      const overtaken = new Set<string>();
      underway.add(overtaken);
      try {
        await traced('state.save', noOptions, () =>
          commits.add({
            changes: () => changes().filter(({ key }) => !overtaken.has(key)),
            apply: () => apply(overtaken),
          }),
        );
      } finally {
        underway.delete(overtaken);
      }
    },
    owe(changes) {
      for (const change of changes) {
        writes.owed.set(change.key, change);
        for (const overtaken of underway) overtaken.add(change.key);
      }
      return writeOwed();
    },
    writeOwed,
    refresh: (changes) => commits.add({ isRefresh: true, changes, apply: () => undefined }),
    hasOwed: () => writes.owed.size > 0,
    failure: () => (writes.owed.size > 0 ? writes.failure : undefined),
  };
}

async function writeGroup(writes: Writes, changes: readonly Change[]): Promise<void> {
  try {
    await write(writes, changes);
  } catch (error) {
    if (writes.owed.size > 0) await writeOwedAlone(writes, error, { isTried: changes.length === 0 });
    throw error;
  }
}

/** Includes what is owed, which is older: a store that skipped it would look like one that was turned back. */
async function write(writes: Writes, changes: readonly Change[]): Promise<void> {
  const owedNow = new Map(writes.owed);
  const all = new Map(owedNow);
  for (const change of changes) all.set(change.key, change);
  await writes.store.write([...all.values()]);
  // What was decided during this write is still owed.
  for (const [key, change] of owedNow) if (writes.owed.get(key) === change) writes.owed.delete(key);
  writes.failure = undefined;
}

/** Without the group that failed: only lock-outs may use the reserve. */
async function writeOwedAlone(
  writes: Writes,
  error: unknown,
  { isTried }: { readonly isTried: boolean },
): Promise<void> {
  let cause = error;
  if (!isTried) {
    try {
      return await write(writes, []);
    } catch (again) {
      cause = again;
    }
  }
  writes.failure = messageOf(cause);
  if (!isDiskFull(cause) || writes.reserve?.release() !== true) return;
  await write(writes, []).catch((again: unknown) => {
    writes.failure = messageOf(again);
  });
}
