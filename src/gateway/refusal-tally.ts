import type { Audit } from './audit.ts';
import type { AuditFacts } from './audit-chain.ts';

/**
 * Refused requests cost their senders nothing, so they must not cost the disk a line each: the first of its kind in a window, a
 * minute, is written as a line, the rest of that window is counted and written as one more. Beyond a number of kinds in a
 * window only the reason is counted.
 */
export interface RefusalTally {
  /**
   * Counts by `kind`; `facts` go into the line of the first. `times`: how many they were, one unless given. Whether it was the
   * first of its kind.
   */
  count(event: string, kind: RefusalKind, facts: AuditFacts, times?: number): boolean;
  /** Writes the windows that are over, or, with `isLast`, all of them. */
  flush(options?: { readonly isLast?: boolean }): void;
}

/** Apart from the sender's address, nothing in here may be an unproven claim. */
interface RefusalKind {
  readonly reason: string;
  readonly path?: string;
  readonly address?: string;
  readonly nodeId?: string;
  /** The node name, or the user, of a refusal of the authorizer. */
  readonly subject?: string;
  /** The wallet of a person whose login is signed by the key that the chain names for it. */
  readonly wallet?: string;
}

export interface RefusalTallyOptions {
  /** How long refusals of one kind are one line; a minute unless given. */
  readonly windowMs?: number;
  readonly audit: Pick<Audit, 'record'>;
  readonly nowMs: () => number;
  /** Kinds without a proven node id that are distinguished within a minute. */
  readonly mostKinds?: number;
  /** Kinds with one: counted apart, so that strangers cannot use up their number. */
  readonly mostProvenKinds?: number;
  /** Called for each refusal, or for so many at once. */
  readonly onRefusal?: (event: string, reason: string, times: number) => void;
}

interface Count {
  readonly event: string;
  readonly kind: RefusalKind;
  readonly window: number;
  /** Without the first, which has a line of its own. */
  more: number;
  lastRequestId: string | undefined;
}

interface Tally {
  readonly windowMs: number;
  readonly audit: Pick<Audit, 'record'>;
  readonly most: { readonly proven: number; readonly unproven: number };
  readonly counts: Map<string, Count>;
  /** How many kinds have a proven node id, and how many do not; without those that are counted by reason alone. */
  readonly kinds: { proven: number; unproven: number };
}

const others = 'others';
const sortOf = ({ nodeId, wallet }: RefusalKind) =>
  nodeId === undefined && wallet === undefined ? 'unproven' : 'proven';

export function createRefusalTally({
  audit,
  nowMs,
  windowMs = 60_000,
  mostKinds = 32,
  mostProvenKinds = 256,
  onRefusal,
}: RefusalTallyOptions): RefusalTally {
  const tally: Tally = {
    windowMs,
    audit,
    most: { proven: mostProvenKinds, unproven: mostKinds },
    counts: new Map(),
    kinds: { proven: 0, unproven: 0 },
  };
  const windowNow = () => Math.floor(nowMs() / windowMs);
  return {
    count(event, kind, facts, times = 1) {
      onRefusal?.(event, kind.reason, times);
      const window = windowNow();
      const known = tally.counts.get(keyOf(event, kind));
      if (known && known.window !== window) flushBefore(tally, window);
      return countSome(tally, { event, kind, window, times }, facts);
    },
    flush: ({ isLast = false } = {}) => flushBefore(tally, isLast ? undefined : windowNow()),
  };
}

function countSome(
  tally: Tally,
  { event, kind, window, times }: Pick<Count, 'event' | 'kind' | 'window'> & { readonly times: number },
  facts: AuditFacts,
): boolean {
  const { counts, audit } = tally;
  const key = keyOf(event, kind);
  const current = counts.get(key);
  if (!current && mayBegin(tally, kind)) {
    counts.set(key, { event, kind, window, more: 0, lastRequestId: undefined });
    audit.record(event, { ...facts, reason: kind.reason });
    return true;
  }
  const counted = current ?? countOfReason(tally, { event, reason: kind.reason, window });
  counted.more += times;
  if (typeof facts.request_id === 'string') counted.lastRequestId = facts.request_id;
  return false;
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
  { event, reason, window }: { readonly event: string; readonly reason: string; readonly window: number },
): Count {
  const kind = { reason, address: others };
  const key = keyOf(event, kind);
  const found = tally.counts.get(key);
  if (found?.window === window) return found;
  if (found) write(tally, found);
  const begun = { event, kind, window, more: 0, lastRequestId: undefined };
  tally.counts.set(key, begun);
  return begun;
}

/** Writes every count that is not of this window (a clock that was set back ends one as well); without one, all. */
function flushBefore(tally: Tally, window: number | undefined): void {
  for (const [key, count] of tally.counts) {
    if (count.window === window) continue;
    tally.counts.delete(key);
    if (count.kind.address !== others) tally.kinds[sortOf(count.kind)] -= 1;
    write(tally, count);
  }
}

function write({ audit, windowMs }: Tally, { event, kind, window, more, lastRequestId }: Count): void {
  if (more === 0) return;
  audit.record(`${event}.more`, {
    reason: kind.reason,
    path: kind.path,
    address: kind.address,
    node_id: kind.nodeId,
    subject: kind.subject,
    wallet: kind.wallet,
    count: more,
    minute: new Date(window * windowMs).toISOString(),
    last_request_id: lastRequestId,
  });
}

function keyOf(event: string, { reason, path, address, nodeId, subject, wallet }: RefusalKind): string {
  return JSON.stringify([event, reason, path, address, nodeId, subject, wallet]);
}
