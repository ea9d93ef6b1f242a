/** Places for work: a total, and a share that no single caller exceeds. */
export interface Shares {
  /** Takes a place and returns how to give it back (repeated calls are harmless); `undefined` when there is none. */
  take(asker: string): (() => void) | undefined;
}

export function createShares(inAll: number, ofOne: number): Shares {
  const taken = new Map<string, number>();
  let total = 0;
  return {
    take(asker) {
      const own = taken.get(asker) ?? 0;
      if (total >= inAll || own >= ofOne) return undefined;
      total += 1;
      taken.set(asker, own + 1);
      let isTaken = true;
      return () => {
        if (!isTaken) return;
        isTaken = false;
        total -= 1;
        const left = (taken.get(asker) ?? 1) - 1;
        if (left > 0) taken.set(asker, left);
        else taken.delete(asker);
      };
    },
  };
}
