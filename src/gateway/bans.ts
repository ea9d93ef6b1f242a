import { z } from 'zod';
import { orNull, readStored, storedRecord } from './stored-record.ts';

/** Stands until the operator lifts it. A banned staker gets no new names and keeps the existing ones. */
export interface Ban {
  readonly subject: BanSubject;
  /** A node id, a node key in base64url, or a Sui address. */
  readonly value: string;
  readonly reason: string;
  readonly sinceMs: number;
  /** The stake record that caused it; undefined for a ban by the operator. */
  readonly recordId: string | undefined;
}
export type BanSubject = 'node_id' | 'node_key' | 'staker';
export const BAN_SUBJECTS = ['node_id', 'node_key', 'staker'] as const satisfies readonly BanSubject[];

export const banKey = ({ subject, value }: Pick<Ban, 'subject' | 'value'>) => `/bans/${subject}/${value}`;

const StoredBan = storedRecord({
  subject: ['subject', z.enum(BAN_SUBJECTS)],
  value: ['value', z.string()],
  reason: ['reason', z.string()],
  sinceMs: ['since', z.number()],
  recordId: ['stake_record', orNull(z.string())],
});

export function storedBan(ban: Ban): unknown {
  return z.encode(StoredBan, ban);
}

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`: a ban that cannot be read must not count as none. */
export function readBan(key: string, value: unknown): Ban {
  return readStored(StoredBan, { key, value, keyOf: banKey });
}

/** An applicant, or a node that runs, as far as bans are concerned. */
export interface Bannable {
  readonly nodeId: string;
  /** base64url */
  readonly holderKey: string;
  readonly staker: string;
  /** The name is already bound to this staker. */
  readonly isKnownName: boolean;
}

export function banOf(bans: ReadonlyMap<string, Ban>, who: Bannable): Ban | undefined {
  return (
    bans.get(banKey({ subject: 'node_id', value: who.nodeId })) ??
    bans.get(banKey({ subject: 'node_key', value: who.holderKey })) ??
    (who.isKnownName ? undefined : bans.get(banKey({ subject: 'staker', value: who.staker })))
  );
}

/** Whether the operator has banned a wallet: a slash bans its staker from new node names alone, not from what other stakes are for. */
export function isShutOut(bans: ReadonlyMap<string, Ban>, wallet: string): boolean {
  const ban = bans.get(banKey({ subject: 'staker', value: wallet }));
  return ban !== undefined && isOperators(ban);
}

/** Set by the operator, not by a slash. */
export const isOperators = ({ recordId }: Pick<Ban, 'recordId'>): boolean => recordId === undefined;

/** Of new bans those that count: what a slash bans does not take the place of the operator's ban. */
export function settingBans(standing: ReadonlyMap<string, Ban>, added: readonly Ban[]): readonly Ban[] {
  return added.filter((ban) => {
    const earlier = standing.get(banKey(ban));
    return isOperators(ban) || !earlier || !isOperators(earlier);
  });
}

/**
 * What a slash bans: the node id, the key that signed an admitted registration for the record, and new names of the
 * staker. The staker's other nodes are judged by their own facts.
 */
export function bansFor(
  worker: Pick<Bannable, 'nodeId' | 'holderKey' | 'staker'> & { readonly recordId: string },
  reason: string,
  sinceMs: number,
): readonly Ban[] {
  const common = { reason, sinceMs, recordId: worker.recordId };
  return [
    { subject: 'node_id', value: worker.nodeId, ...common },
    { subject: 'node_key', value: worker.holderKey, ...common },
    { subject: 'staker', value: worker.staker, ...common },
  ];
}
