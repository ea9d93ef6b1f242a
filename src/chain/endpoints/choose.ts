import { type Health, p95Ms } from './health.ts';

/** An endpoint this far behind the newest checkpoint is asked after the others. */
const MAX_LAG_MS = 15_000;
/** A lag that was seen this long ago says nothing any more. */
const LAG_LIFE_MS = 30_000;

export type EndpointState = 'good' | 'demoted' | 'lagging' | 'blocked' | 'contradicted';

/** `nowMs`: of the monotonic clock. */
export function stateOf(health: Health, nowMs: number): EndpointState {
  if (health.contradiction !== undefined) return 'contradicted';
  if (nowMs < health.blockedUntilMs) return 'blocked';
  if (nowMs < health.demotedUntilMs) return 'demoted';
  const isLagging = health.lagMs > MAX_LAG_MS && nowMs < health.lagSeenAtMs + LAG_LIFE_MS;
  return isLagging ? 'lagging' : 'good';
}

const RANK: Readonly<Record<EndpointState, number>> = {
  good: 0,
  lagging: 1,
  demoted: 2,
  contradicted: 3,
  blocked: 4,
};

/**
 * The endpoints to ask, the best first; `preferred` is the one that answered last. An endpoint that contradicted a proof
 * is left out while another one is there, and a blocked one always. Empty: all are blocked.
 */
export function choose(pool: readonly Health[], preferred: number, nowMs: number): number[] {
  const states = pool.map((health) => stateOf(health, nowMs));
  const open = states.flatMap((state, index) => (state === 'blocked' ? [] : [index]));
  const honest = open.filter((index) => states[index] !== 'contradicted');
  const isHonestLeft = states.some((state) => state !== 'contradicted');
  const distance = (index: number) => (index - preferred + pool.length) % pool.length;
  return (isHonestLeft ? honest : open).sort(
    (a, b) =>
      RANK[states[a] as EndpointState] - RANK[states[b] as EndpointState] || distance(a) - distance(b),
  );
}

/** When the first blocked endpoint may be asked again. */
export function releasedAtMs(pool: readonly Health[]): number {
  return Math.min(...pool.map(({ blockedUntilMs }) => blockedUntilMs));
}

const LEAST_HEDGE_MS = 50;

/** How long to wait for one endpoint before another is asked too: what 95 of 100 of its calls take. */
export function hedgeDelayMs(health: Health, timeoutMs: number): number {
  const usual = p95Ms(health);
  // Without experience: late enough not to double the load, early enough to be of use.
  if (usual === undefined) return timeoutMs / 4;
  return Math.min(Math.max(LEAST_HEDGE_MS, usual), timeoutMs / 2);
}
