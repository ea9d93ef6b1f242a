import type { Clock } from '#base';

/** The gateway's clock, by the timestamps of its replies. */
export interface GatewayTime {
  /** By this machine's clock before the first reply. */
  nowMs(): number;
  /** `sentAtMs`: when the request was sent, by the monotonic clock. */
  learn(reply: unknown, sentAtMs: number): void;
}

/** Continues the gateway's clock by this machine's monotonic one, which no administrator sets back. */
export function createGatewayTime(clock: Clock): GatewayTime {
  let learnt: { readonly theirsMs: number; readonly oursMs: number } | undefined;
  return {
    nowMs: () =>
      learnt ? Math.round(learnt.theirsMs + (clock.monotonicMs() - learnt.oursMs)) : clock.nowMs(),
    learn(reply, sentAtMs) {
      const timestamp = (reply as { timestamp?: unknown } | undefined)?.timestamp;
      if (typeof timestamp !== 'number' || !Number.isSafeInteger(timestamp)) return;
      // The timestamp is of a moment between sending and now: half-way is wrong by half a round trip at most.
      learnt = { theirsMs: timestamp, oursMs: (sentAtMs + clock.monotonicMs()) / 2 };
    },
  };
}
