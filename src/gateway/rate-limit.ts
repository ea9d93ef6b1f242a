/** A token bucket for each key: `ratePerSecond` on average, `burst` at once after a pause. */
export interface RateLimit {
  /** Takes one token: `0` when there was one, else the ms until there is one. */
  take(key: string, nowMs: number): number;
  /** Tokens that the key has taken and not gained back. */
  spent(key: string, nowMs: number): number;
  /** Tokens that the key has. */
  left(key: string, nowMs: number): number;
  /** Returns one token that was taken. */
  giveBack(key: string, nowMs: number): void;
}

export interface RateLimitOptions {
  readonly ratePerSecond: number;
  readonly burst: number;
  /** Keys remembered at most. The ones longest unused are forgotten, which gives them a full bucket. */
  readonly mostKeys?: number;
}

export function createRateLimit({ ratePerSecond, burst, mostKeys = 20_000 }: RateLimitOptions): RateLimit {
  const buckets = new Map<string, { level: number; atMs: number }>();
  const levelOf = (key: string, nowMs: number): number => {
    const known = buckets.get(key);
    if (!known) return burst;
    return Math.min(burst, known.level + Math.max(0, ((nowMs - known.atMs) / 1000) * ratePerSecond));
  };
  return {
    spent: (key, nowMs) => burst - levelOf(key, nowMs),
    left: levelOf,
    giveBack(key, nowMs) {
      // A key that was forgotten has a full bucket.
      if (buckets.has(key))
        buckets.set(key, { level: Math.min(burst, levelOf(key, nowMs) + 1), atMs: nowMs });
    },
    take(key, nowMs) {
      const level = levelOf(key, nowMs);
      // Deleted and set again: a map keeps the order of insertion, so the first key is the one longest unused.
      buckets.delete(key);
      const isGiven = level >= 1;
      buckets.set(key, { level: isGiven ? level - 1 : level, atMs: nowMs });
      if (buckets.size > mostKeys) {
        const oldest = buckets.keys().next();
        if (!oldest.done) buckets.delete(oldest.value);
      }
      return isGiven ? 0 : Math.ceil(((1 - level) / ratePerSecond) * 1000);
    },
  };
}

/** The key of an address. One machine has a whole /64 network of IPv6 addresses, which counts as one. */
export function addressKey(address: string): string {
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('%')[0]?.split('::') ?? [];
  const groups = head === '' ? [] : head.split(':');
  if (tail === undefined) return `${groups.slice(0, 4).join(':')}::/64`;
  const tailGroups = tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(Math.max(0, 8 - groups.length - tailGroups.length)).fill('0');
  return `${[...groups, ...zeros, ...tailGroups].slice(0, 4).join(':')}::/64`;
}
