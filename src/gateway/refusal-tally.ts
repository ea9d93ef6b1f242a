import type { Audit } from './audit.ts';
import type { AuditFacts } from './audit-chain.ts';

/**
 * Refused requests cost their senders nothing, so they must not cost the disk a line each: the first of its kind in a
 * minute is written as a line, the rest of that minute is counted and written as one more. Beyond a number of kinds per
 * minute only the reason is counted.
 */
export interface RefusalTally {
  /** Counts by `kind`; `facts` go into the line of the first. */
  count(event: string, kind: RefusalKind, facts: AuditFacts): void;
  /** Writes the minutes that are over, or, with `isLast`, all of them. */
  flush(options?: { readonly isLast?: boolean }): void;
}

/** Apart from the sender's address, nothing in here may be an unproven claim. */
interface RefusalKind {
  readonly reason: string;
  readonly path?: string;
  readonly address?: string;
  readonly nodeId?: string;
  /** The wallet of a person whose login is signed by the key that the chain names for it. */
  readonly wallet?: string;
}

export interface RefusalTallyOptions {
  readonly audit: Pick<Audit, 'record'>;
  readonly nowMs: () => number;
  /** Kinds without a proven node id that are distinguished within a minute. */
  readonly mostKinds?: number;
  /** Kinds with one: counted apart, so that strangers cannot use up their number. */
  readonly mostProvenKinds?: number;
  /** Called for each refusal. */
  readonly onRefusal?: (event: string, reason: string) => void;
}

interface Count {
  readonly event: string;
  readonly kind: RefusalKind;
  readonly minute: number;
  /** Without the first, which has a line of its own. */
  more: number;
  lastRequestId: string | undefined;
}

interface Tally {
  readonly audit: Pick<Audit, 'record'>;
  readonly most: { readonly proven: number; readonly unproven: number };
  readonly counts: Map<string, Count>;
  /** How many kinds have a proven node id, and how many do not; without those that are counted by reason alone. */
  readonly kinds: { proven: number; unproven: number };
}

const minuteMs = 60_000;
const others = 'others';
const sortOf = ({ nodeId, wallet }: RefusalKind) =>
  nodeId === undefined && wallet === undefined ? 'unproven' : 'proven';

export function createRefusalTally({
  audit,
  nowMs,
  mostKinds = 32,
  mostProvenKinds = 256,
  onRefusal,
}: RefusalTallyOptions): RefusalTally {
  const tally: Tally = {
    audit,
    most: { proven: mostProvenKinds, unproven: mostKinds },
    counts: new Map(),
    kinds: { proven: 0, unproven: 0 },
  };
  const minuteNow = () => Math.floor(nowMs() / minuteMs);
  return {
    count(event, kind, facts) {
      onRefusal?.(event, kind.reason);
      const minute = minuteNow();
      const known = tally.counts.get(keyOf(event, kind));
      if (known && known.minute !== minute) flushBefore(tally, minute);
      countOne(tally, { event, kind, minute }, facts);
    },
    flush: ({ isLast = false } = {}) => flushBefore(tally, isLast ? undefined : minuteNow()),
  };
}

function countOne(
  tally: Tally,
  { event, kind, minute }: Pick<Count, 'event' | 'kind' | 'minute'>,
  facts: AuditFacts,
): void {
  const { counts, audit } = tally;
  const key = keyOf(event, kind);
  const current = counts.get(key);
  if (!current && mayBegin(tally, kind)) {
    counts.set(key, { event, kind, minute, more: 0, lastRequestId: undefined });
    audit.record(event, { ...facts, reason: kind.reason });
    return;
  }
  const counted = current ?? countOfReason(tally, { event, reason: kind.reason, minute });
  counted.more += 1;
  if (typeof facts.request_id === 'string') counted.lastRequestId = facts.request_id;
}

function mayBegin({ kinds, most }: Tally, kind: RefusalKind): boolean {
  const sort = sortOf(kind);
  if (kinds[sort] >= most[sort]) return false;
  kinds[sort] += 1;
  return true;
}

/** The reasons are a fixed set: these counts stay few, however many addresses there are. */
function countOfReason(
  tally: Tally,
  { event, reason, minute }: { readonly event: string; readonly reason: string; readonly minute: number },
): Count {
  const kind = { reason, address: others };
  const key = keyOf(event, kind);
  const found = tally.counts.get(key);
  if (found?.minute === minute) return found;
  if (found) write(tally, found);
  const begun = { event, kind, minute, more: 0, lastRequestId: undefined };
  tally.counts.set(key, begun);
  return begun;
}

/** Writes every count that is not of this minute (a clock that was set back ends a minute as well); without one, all. */
function flushBefore(tally: Tally, minute: number | undefined): void {
  for (const [key, count] of tally.counts) {
    if (count.minute === minute) continue;
    tally.counts.delete(key);
    if (count.kind.address !== others) tally.kinds[sortOf(count.kind)] -= 1;
    write(tally, count);
  }
}

function write({ audit }: Tally, { event, kind, minute, more, lastRequestId }: Count): void {
  if (more === 0) return;
  audit.record(`${event}.more`, {
    reason: kind.reason,
    path: kind.path,
    address: kind.address,
    node_id: kind.nodeId,
    wallet: kind.wallet,
    count: more,
    minute: new Date(minute * minuteMs).toISOString(),
    last_request_id: lastRequestId,
  });
}

function keyOf(event: string, { reason, path, address, nodeId, wallet }: RefusalKind): string {
  return JSON.stringify([event, reason, path, address, nodeId, wallet]);
}
