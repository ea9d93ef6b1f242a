/** Keys by the time at which they are due. Taking costs time in proportion to what is taken. */
export interface DueTimes {
  /** Replaces an earlier time of this key. */
  set(key: string, atMs: number): void;
  delete(key: string): void;
  /** Takes what is due, the earliest first, `most` at most; the rest stays due. */
  take(nowMs: number, most: number): readonly string[];
}

/** The resolution. */
const bucketMs = 250;

/** `nowMs` of `take` must not run backwards: use the monotonic clock. */
export function createDueTimes(): DueTimes {
  const buckets = new Map<number, Set<string>>();
  const bucketOf = new Map<string, number>();
  /** Every bucket before this one is empty. */
  let first = 0;

  function remove(key: string): void {
    const bucket = bucketOf.get(key);
    if (bucket === undefined) return;
    bucketOf.delete(key);
    const keys = buckets.get(bucket);
    keys?.delete(key);
    if (keys?.size === 0) buckets.delete(bucket);
  }

  return {
    set(key, atMs) {
      remove(key);
      // What was due before the last `take` is due at the next one.
      const bucket = Math.max(first, Math.ceil(atMs / bucketMs));
      bucketOf.set(key, bucket);
      const keys = buckets.get(bucket);
      if (keys) keys.add(key);
      else buckets.set(bucket, new Set([key]));
    },
    delete: remove,
    take(nowMs, most) {
      const taken: string[] = [];
      const last = Math.floor(nowMs / bucketMs);
      while (first <= last && bucketOf.size > 0) {
        for (const key of buckets.get(first) ?? []) {
          if (taken.length >= most) return taken;
          remove(key);
          taken.push(key);
        }
        first += 1;
      }
      if (bucketOf.size === 0) first = Math.max(first, last);
      return taken;
    },
  };
}
