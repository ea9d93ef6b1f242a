import type { Clock } from '#base';
import type { ChainPoint, ChainReader } from '#domain';

/** Epoch and clock of the chain, read again when they are half a minute old. */
export interface ChainPointReader {
  current(): Promise<ChainPoint>;
  /** As last read, however old; `undefined` before the first reading. */
  known(): ChainPoint | undefined;
}

const pointLifeMs = 30_000;

export function createChainPointReader(
  chain: Pick<ChainReader, 'point'>,
  clock: Pick<Clock, 'monotonicMs'>,
): ChainPointReader {
  let point: { readonly value: ChainPoint; readonly readAtMs: number } | undefined;
  let underway: Promise<ChainPoint> | undefined;
  return {
    async current() {
      if (point && clock.monotonicMs() - point.readAtMs < pointLifeMs) return point.value;
      underway ??= chain.point().finally(() => {
        underway = undefined;
      });
      const value = await underway;
      point = { value, readAtMs: clock.monotonicMs() };
      return value;
    },
    known: () => point?.value,
  };
}
