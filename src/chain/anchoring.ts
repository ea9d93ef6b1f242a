import { z } from 'zod';
import { type Clock, errorFields, type Journal, type Log } from '#base';
import type { AuditAnchor, AuditCargo } from '#domain';
import { type AnchorOwner, anchorStatement, readAnchoring } from './audit-anchor.ts';

/** In the probes that are made anyway, or also in one a day. */
export type AnchorMode = 'probes' | 'daily';

export interface AnchoringOptions extends Pick<AnchorOwner, 'gatewayId'> {
  readonly mode: AnchorMode;
}

/** How the anchors of a gateway that leads stand. */
export interface AnchorStatus {
  readonly mode: AnchorMode;
  readonly newest: AuditAnchor | undefined;
  /** Since the newest, or since this gateway began without any. */
  readonly ageMs: number;
}

/** The heads of the audit file that probes carry. */
export interface Anchoring {
  carry(cargo: AuditCargo): void;
  /** Called when probes begin; what an earlier process has anchored is in the journal. */
  begin(journal: Pick<Journal, 'read'>): void;
  /** When one is due that nothing else asks for, by the monotonic clock. */
  dueAtMs(): number;
  /** `undefined`: there is nothing to say. With `isRequired` it rejects where the audit file gives no line. */
  statement(options: { readonly isRequired: boolean }, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** Takes a probe that was executed. */
  settled(transaction: Uint8Array): void;
  /** For the next process. */
  keep(journal: Pick<Journal, 'write'>): Promise<void>;
  /** `undefined`: this gateway does not anchor, or does not lead. */
  status(): AnchorStatus | undefined;
}

export interface AnchoringParts {
  /** `undefined`: it is off. */
  readonly options: AnchoringOptions | undefined;
  readonly clusterId: string;
  /** The address that pays. */
  readonly wallet: string;
  readonly clock: Clock;
  readonly log: Log;
}

const DAY_MS = 86_400_000;
/** For the audit file to be on disk. What is due anyway, an admission say, does not wait long for it. */
const PATIENCE_MS = { required: 60_000, beside: 5_000 } as const;
const KEPT = 'anchored';
const KeptAnchor = z.strictObject({
  /** The anchors of another one are not found by the coins of this one. */
  wallet: z.string(),
  sequence: z.int(),
  hash: z.string(),
  atMs: z.int(),
  digest: z.string(),
});

/** An anchor, and when it was made by the monotonic clock: the other one may be set. */
interface Made {
  readonly anchor: AuditAnchor;
  readonly madeAtMs: number;
}

export function createAnchoring({ options, clusterId, wallet, clock, log }: AnchoringParts): Anchoring {
  let cargo: AuditCargo | undefined;
  let newest: Made | undefined;
  let begunAtMs: number | undefined;
  const owner = options && { clusterId, gatewayId: options.gatewayId };
  // What a clock made that was ahead, is taken for one of now: it holds the next up for a day.
  const made = (anchor: AuditAnchor): Made => ({
    anchor,
    madeAtMs: clock.monotonicMs() - Math.max(0, clock.nowMs() - anchor.atMs),
  });
  return {
    carry(given) {
      cargo = given;
    },
    begin(journal) {
      begunAtMs = clock.monotonicMs();
      const kept = KeptAnchor.safeParse(journal.read(KEPT));
      if (!kept.success || kept.data.wallet !== wallet) return;
      const { wallet: _, ...anchor } = kept.data;
      newest = made(anchor);
    },
    dueAtMs() {
      if (options?.mode !== 'daily' || !cargo) return Number.POSITIVE_INFINITY;
      return newest ? newest.madeAtMs + DAY_MS : Number.NEGATIVE_INFINITY;
    },
    async statement({ isRequired }, signal) {
      if (!owner || !cargo) return undefined;
      try {
        const mostMs = PATIENCE_MS[isRequired ? 'required' : 'beside'];
        return anchorStatement(owner, await inTime(cargo.head(), { clock, mostMs }, signal));
      } catch (error) {
        if (isRequired || signal.aborted) throw error;
        // A probe that carries no head shows the chain all the same.
        log.warn('This probe does not anchor the end of the audit file', {
          event: 'audit.not-anchored',
          ...errorFields(error),
        });
        return undefined;
      }
    },
    settled(transaction) {
      const anchor = owner && readAnchoring(transaction, owner).anchor;
      if (!anchor) return;
      newest = made(anchor);
      cargo?.anchored(anchor);
    },
    async keep(journal) {
      if (newest) await journal.write(KEPT, { wallet, ...newest.anchor });
    },
    status() {
      if (!options || begunAtMs === undefined) return undefined;
      const ageMs = clock.monotonicMs() - (newest?.madeAtMs ?? begunAtMs);
      return { mode: options.mode, newest: newest?.anchor, ageMs };
    },
  };
}

async function inTime<T>(
  awaited: Promise<T>,
  { clock, mostMs }: { readonly clock: Clock; readonly mostMs: number },
  signal: AbortSignal,
): Promise<T> {
  const ended = new AbortController();
  const late = clock.sleep(mostMs, AbortSignal.any([signal, ended.signal])).then(() => {
    throw new Error(`the audit file gave no line within ${mostMs} ms`);
  });
  try {
    return await Promise.race([awaited, late]);
  } finally {
    ended.abort();
  }
}
