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
  statement(options: { readonly isRequired: boolean }): Promise<Uint8Array | undefined>;
  /** Takes a probe that was executed. */
  settled(transaction: Uint8Array, journal: Pick<Journal, 'write'> | undefined): Promise<void>;
  /** `undefined`: this gateway does not anchor, or does not lead. */
  status(): AnchorStatus | undefined;
}

export interface AnchoringParts {
  /** `undefined`: it is off. */
  readonly options: AnchoringOptions | undefined;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly log: Log;
}

const DAY_MS = 86_400_000;
const KEPT = 'anchored';
const KeptAnchor = z.strictObject({
  sequence: z.int(),
  hash: z.string(),
  atMs: z.int(),
  digest: z.string(),
});

export function createAnchoring({ options, clusterId, clock, log }: AnchoringParts): Anchoring {
  let cargo: AuditCargo | undefined;
  let newest: AuditAnchor | undefined;
  let begunAtMs: number | undefined;
  const owner = options && { clusterId, gatewayId: options.gatewayId };
  // A clock that was put back must not hold anchors up for longer than a day.
  const ageMs = () => Math.max(0, clock.nowMs() - (newest?.atMs ?? begunAtMs ?? 0));
  return {
    carry(given) {
      cargo = given;
    },
    begin(journal) {
      begunAtMs = clock.nowMs();
      const kept = KeptAnchor.safeParse(journal.read(KEPT));
      if (kept.success) newest = kept.data;
    },
    dueAtMs() {
      if (options?.mode !== 'daily' || !cargo) return Number.POSITIVE_INFINITY;
      return newest ? clock.monotonicMs() + DAY_MS - ageMs() : Number.NEGATIVE_INFINITY;
    },
    async statement({ isRequired }) {
      if (!owner || !cargo) return undefined;
      try {
        return anchorStatement(owner, await cargo.head());
      } catch (error) {
        if (isRequired) throw error;
        // A probe that carries no head shows the chain all the same.
        log.warn('This probe does not anchor the end of the audit file', {
          event: 'audit.not-anchored',
          ...errorFields(error),
        });
        return undefined;
      }
    },
    async settled(transaction, journal) {
      const anchor = owner && readAnchoring(transaction, owner).anchor;
      if (!anchor) return;
      newest = anchor;
      await journal?.write(KEPT, { ...anchor });
      cargo?.anchored(anchor);
    },
    status: () =>
      options && begunAtMs !== undefined ? { mode: options.mode, newest, ageMs: ageMs() } : undefined,
  };
}
