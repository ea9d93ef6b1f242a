import { drawOf, errorFacts, type GatewayEntry } from 'k3s-daas/plugin';

const shortestRestMs = 5_000;
const longestRestMs = 300_000;

interface Failures {
  readonly failures: number;
  /** By the monotonic clock: until then it is asked after the others. */
  readonly restsUntilMs: number;
}

/** How the gateways did, so that one that does not answer is not asked first again and again. */
export class GatewayHealth {
  readonly #nodeId: string;
  readonly #records = new Map<string, Failures>();

  constructor(nodeId: string) {
    this.#nodeId = nodeId;
  }

  /** The same order, with those that rest behind the others, the one that rests shortest first. None is left out. */
  sorted(gateways: readonly GatewayEntry[], nowMs: number): readonly GatewayEntry[] {
    const rest = ({ id }: GatewayEntry) => Math.max(0, (this.#records.get(id)?.restsUntilMs ?? 0) - nowMs);
    return gateways.toSorted((left, right) => rest(left) - rest(right));
  }

  succeeded({ id }: GatewayEntry): void {
    this.#records.delete(id);
  }

  /** A refusal is an answer; silence makes it rest, longer each time, and for each node at other times. */
  failed({ id }: GatewayEntry, error: unknown, nowMs: number): void {
    if (!isSilence(error)) {
      this.#records.delete(id);
      return;
    }
    const failures = (this.#records.get(id)?.failures ?? 0) + 1;
    const restMs = Math.min(longestRestMs, shortestRestMs * 2 ** Math.min(failures - 1, 30));
    const drawn = drawOf(this.#nodeId, id, failures);
    this.#records.set(id, { failures, restsUntilMs: nowMs + restMs * (0.5 + drawn / 2) });
  }

  /** `2 of 3 gateways answered when they were asked last`. */
  describe(known: number): string {
    const silent = this.#records.size;
    return silent === 0
      ? 'every gateway that was asked has answered'
      : `${silent} of ${known} gateways did not answer when they were asked last`;
  }
}

/** Nothing of the gateway came back, or it could not do its work. */
function isSilence(error: unknown): boolean {
  const { isRetryable, details } = errorFacts(error);
  const { status } = details as { status?: unknown };
  return isRetryable && (typeof status !== 'number' || status >= 500);
}
