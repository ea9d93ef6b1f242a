import { z } from 'zod';
import { ConfigurationError } from '#base';

/** A standing refusal; only the operator lifts it. A banned staker is refused new names, not the ones he has. */
export interface Ban {
  readonly subject: BanSubject;
  /** A node id, a node key in base64url, or a Sui address. */
  readonly value: string;
  readonly reason: string;
  readonly sinceMs: number;
  /** The stake record it follows from; undefined for the operator's own. */
  readonly recordId: string | undefined;
}
export type BanSubject = 'node_id' | 'node_key' | 'staker';
export const BAN_SUBJECTS = ['node_id', 'node_key', 'staker'] as const satisfies readonly BanSubject[];

export const banKey = ({ subject, value }: Pick<Ban, 'subject' | 'value'>) => `/bans/${subject}/${value}`;

const StoredBan = z.strictObject({
  subject: z.enum(BAN_SUBJECTS),
  value: z.string(),
  reason: z.string(),
  since: z.number(),
  stake_record: z.string().nullable(),
});

export function storedBan(ban: Ban): z.infer<typeof StoredBan> {
  return {
    subject: ban.subject,
    value: ban.value,
    reason: ban.reason,
    since: ban.sinceMs,
    stake_record: ban.recordId ?? null,
  };
}

export function readBan(key: string, value: unknown): Ban {
  const parsed = StoredBan.safeParse(value);
  // A ban that cannot be read must not count as none.
  if (!parsed.success || banKey(parsed.data) !== key)
    throw new ConfigurationError(
      'DAAS_GATEWAY_STORE_DAMAGED',
      `the state record ${key} is not a ban of this version: restore the state file from a backup`,
      { cause: parsed.error },
    );
  const { since, stake_record: recordId, ...rest } = parsed.data;
  return { ...rest, sinceMs: since, recordId: recordId ?? undefined };
}

/** Who asks to be admitted, or runs. */
export interface Bannable {
  readonly nodeId: string;
  /** base64url */
  readonly holderKey: string;
  readonly staker: string;
  /** The name is bound to this staker already. */
  readonly isKnownName: boolean;
}

export function banOf(bans: ReadonlyMap<string, Ban>, who: Bannable): Ban | undefined {
  return (
    bans.get(banKey({ subject: 'node_id', value: who.nodeId })) ??
    bans.get(banKey({ subject: 'node_key', value: who.holderKey })) ??
    (who.isKnownName ? undefined : bans.get(banKey({ subject: 'staker', value: who.staker })))
  );
}
