import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How far behind the event loop has been lately. */
export interface LoopDelay extends AsyncDisposable {
  /** The 99th percentile of the last seconds, in milliseconds: how much later than it is due work begins. */
  p99Ms(): number;
}

/** Looked at this often: a delay below it shows as none. */
const resolutionMs = 10;
/** A value is of the window in progress and the one before. */
const windowMs = 2_500;
/** Percentiles are computed from the whole histogram: not for each request. */
const keptMs = 100;

/** Of this process. */
export function watchLoopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  let windowAtMs = performance.now();
  let before = 0;
  let known = { atMs: Number.NEGATIVE_INFINITY, p99Ms: 0 };
  const ofWindow = () =>
    histogram.count === 0 ? 0 : Math.max(0, histogram.percentile(99) / 1e6 - resolutionMs);
  return {
    p99Ms() {
      const nowMs = performance.now();
      if (nowMs - known.atMs < keptMs) return known.p99Ms;
      const current = ofWindow();
      // Nobody may have asked for hours: what was before that is over.
      const isLately = nowMs - windowAtMs < 2 * windowMs;
      known = { atMs: nowMs, p99Ms: isLately ? Math.max(before, current) : current };
      if (nowMs - windowAtMs >= windowMs) {
        before = current;
        windowAtMs = nowMs;
        histogram.reset();
      }
      return known.p99Ms;
    },
    async [Symbol.asyncDispose]() {
      histogram.disable();
    },
  };
}
