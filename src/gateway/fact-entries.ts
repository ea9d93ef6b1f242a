import type { SealToken, StakeRecord } from '#domain';

/** What was read of one token and its record. */
export interface FactEntry {
  readonly token: SealToken | undefined;
  readonly record: StakeRecord | undefined;
  readonly readAtMs: number;
  /** A change was announced that this reading may not show. */
  isDirty: boolean;
  lookAgainAtMs: number | undefined;
}

/** Readings by token, also found by record. Those of workers stay; of strangers' tokens a bounded number is kept. */
export interface FactEntries {
  get(tokenId: string): FactEntry | undefined;
  put(tokenId: string, entry: FactEntry): void;
  ofRecord(recordId: string): readonly string[];
  all(): Iterable<readonly [tokenId: string, entry: FactEntry]>;
  /** The token is no longer a worker's: from now on it counts as a stranger's. */
  release(tokenId: string): void;
  readonly size: number;
}

export function createFactEntries(
  isOfWorker: (tokenId: string) => boolean,
  mostOfStrangers: number,
): FactEntries {
  const entries = new Map<string, FactEntry>();
  const tokensOfRecord = new Map<string, Set<string>>();
  /** The one longest unused first. */
  const strangers = new Set<string>();

  function unlink(tokenId: string): void {
    const known = entries.get(tokenId);
    const recordId = known && recordOf(known);
    const tokens = recordId === undefined ? undefined : tokensOfRecord.get(recordId);
    tokens?.delete(tokenId);
    if (recordId !== undefined && tokens?.size === 0) tokensOfRecord.delete(recordId);
  }

  function keepStranger(tokenId: string): void {
    strangers.delete(tokenId);
    strangers.add(tokenId);
    for (const oldest of strangers) {
      if (strangers.size <= mostOfStrangers) return;
      strangers.delete(oldest);
      // The token may have become a worker's since.
      if (isOfWorker(oldest)) continue;
      unlink(oldest);
      entries.delete(oldest);
    }
  }

  return {
    get: (tokenId) => entries.get(tokenId),
    put(tokenId, entry) {
      unlink(tokenId);
      entries.set(tokenId, entry);
      const recordId = recordOf(entry);
      if (recordId !== undefined) {
        const tokens = tokensOfRecord.get(recordId);
        if (tokens) tokens.add(tokenId);
        else tokensOfRecord.set(recordId, new Set([tokenId]));
      }
      if (isOfWorker(tokenId)) strangers.delete(tokenId);
      else keepStranger(tokenId);
    },
    ofRecord: (recordId) => [...(tokensOfRecord.get(recordId) ?? [])],
    all: () => entries,
    release(tokenId) {
      if (entries.has(tokenId)) keepStranger(tokenId);
    },
    get size() {
      return entries.size;
    },
  };
}

function recordOf({ token, record }: FactEntry): string | undefined {
  return token?.stakeId ?? record?.id;
}
