import type { ContestReason } from '#domain';
import type { Claim } from './claims.ts';
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
/** The holders before these are forgotten: these many contest the name at least as long. */
const MOST_HOLDERS = 16;

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
    .filter(({ lastAtMs }) => canLive(lastAtMs, atMs));
  const { recordId, staker, holderKey } = after;
  const holders = [...earlier, { recordId, staker, holderKey, lastAtMs: atMs }];
  return { ...history, holders: holders.slice(-MOST_HOLDERS) };
}

/** What speaks against a name beside its holders. */
export interface Suspicion {
  /** Also one that the operator has released: its certificate lives on. */
  readonly claim: Pick<Claim, 'seenAtMs'> | undefined;
  /** When claims of any name may last have been missed. */
  readonly unseenAtMs: number | undefined;
}

/**
 * Why somebody else than this holder may have a living certificate of the name; `undefined` when this cannot be. An earlier
 * record, staker or key had one, a claim of the name was seen, or claims could not be seen.
 */
export function contestOf(
  { holders, marks }: NameHistory,
  holder: HolderIds,
  { claim, unseenAtMs, nowMs }: Suspicion & { readonly nowMs: number },
): ContestReason | undefined {
  if (holders.some((other) => canLive(other.lastAtMs, nowMs) && !isHeldBy(other, holder)))
    return 'earlier-holder';
  if (claim && canLive(claim.seenAtMs, nowMs)) return 'claimed';
  if (unseenAtMs !== undefined && canLive(unseenAtMs, nowMs)) return 'unwatched';
  return marks.find(({ atMs }) => canLive(atMs, nowMs))?.reason;
}

/** Whether a certificate that was issued at this time can still live. */
export const canLive = (issuedAtMs: number, nowMs: number): boolean =>
  issuedAtMs + CERTIFICATE_LIFE_MS > nowMs;

/** Whether no certificate of the name can live any more, as far as its history says. */
export function isHistoryOver({ holders, marks }: NameHistory, nowMs: number): boolean {
  return ![...holders.map(({ lastAtMs }) => lastAtMs), ...marks.map(({ atMs }) => atMs)].some((atMs) =>
    canLive(atMs, nowMs),
  );
}

/** The last holder to whom a name stays bound where policies see no certificates; `undefined`: the name is free. */
export function boundHolder({ holders, releasedAtMs = 0 }: NameHistory, nowMs: number): Holder | undefined {
  return holders.filter(({ lastAtMs }) => lastAtMs > releasedAtMs && canLive(lastAtMs, nowMs)).at(-1);
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
