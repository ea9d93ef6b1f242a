import type { ContestReason } from '#domain';
import type { Worker } from './worker.ts';

/** Who held a name; each of them may have a certificate of it that still lives. */
export interface Holder {
  readonly recordId: string;
  readonly staker: string;
  /** Ed25519 public key, base64url. */
  readonly holderKey: string;
  /** When it held the name for the last time. */
  readonly lastAtMs: number;
}

/** What was seen of a name that makes it contested. */
interface ContestMark {
  readonly reason: ContestReason;
  readonly atMs: number;
}

/** What is remembered of a name for as long as a certificate can live, whether a worker holds it or not. */
export interface NameHistory {
  readonly nodeId: string;
  readonly holders: readonly Holder[];
  readonly marks: readonly ContestMark[];
  /** When the operator freed the name of the binding to its holders; they can still have certificates of it. */
  readonly releasedAtMs: number | undefined;
}

/** k3s issues certificates for 365 days; a day more for clocks that differ. */
export const CERTIFICATE_LIFE_MS = 366 * 86_400_000;

export const emptyHistory = (nodeId: string): NameHistory => ({
  nodeId,
  holders: [],
  marks: [],
  releasedAtMs: undefined,
});

/** The history once a worker is as `after`; the same object when nothing changed that counts. */
export function historyAfter(history: NameHistory, before: Worker | undefined, after: Worker): NameHistory {
  const atMs = Math.max(after.registeredAtMs, after.statusSinceMs);
  const [latest] = history.holders.slice(-1);
  if (latest && isHeldBy(latest, after) && latest.lastAtMs >= atMs) return history;
  const others = history.holders.filter((holder) => !isHeldBy(holder, after));
  const isBefore = (holder: Holder) => before !== undefined && isHeldBy(holder, before);
  const earlier = others
    .filter((holder) => !(before && isBefore(holder) && isRotation(before, after)))
    // The one before held the name until now.
    .map((holder) => (isBefore(holder) ? { ...holder, lastAtMs: atMs } : holder))
    .filter(({ lastAtMs }) => lastAtMs + CERTIFICATE_LIFE_MS > atMs);
  const { recordId, staker, holderKey } = after;
  return { ...history, holders: [...earlier, { recordId, staker, holderKey, lastAtMs: atMs }] };
}

/**
 * Why somebody else than this holder may have a living certificate of the name; `undefined` when nobody can. An earlier
 * record, staker or key had one, a claim of the name was seen, or claims could not be seen.
 */
export function contestOf(
  { holders, marks }: NameHistory,
  holder: Pick<Holder, 'recordId' | 'staker' | 'holderKey'>,
  nowMs: number,
): ContestReason | undefined {
  const isLive = (atMs: number) => atMs + CERTIFICATE_LIFE_MS > nowMs;
  if (holders.some((other) => isLive(other.lastAtMs) && !isHeldBy(other, holder))) return 'earlier-holder';
  return marks.find(({ atMs }) => isLive(atMs))?.reason;
}

/** The last holder to whom a name stays bound where policies see no certificates; `undefined`: the name is free. */
export function boundHolder({ holders, releasedAtMs = 0 }: NameHistory, nowMs: number): Holder | undefined {
  return holders
    .filter(({ lastAtMs }) => lastAtMs > releasedAtMs && lastAtMs + CERTIFICATE_LIFE_MS > nowMs)
    .at(-1);
}

type HolderIds = Pick<Holder, 'recordId' | 'staker' | 'holderKey'>;

export const isHeldBy = (one: HolderIds, other: HolderIds): boolean =>
  one.recordId === other.recordId && one.staker === other.staker && one.holderKey === other.holderKey;

/**
 * A new key of the same stake on a node that runs: its agent goes on with the certificates it has, and no other machine got
 * any. With a new credential another machine may have come.
 */
function isRotation(before: Worker, after: Worker): boolean {
  if (before.status.kind !== 'member' || after.status.kind !== 'member') return false;
  const isSameStake = before.recordId === after.recordId && before.staker === after.staker;
  return isSameStake && before.status.credential?.id === after.status.credential?.id;
}
