import { z } from 'zod';
import { ConfigurationError } from '#base';
import type { Store, StoredRecord, StoreNews } from '#state';
import type { Audit } from './audit.ts';
import type { ChainHead } from './audit-chain.ts';
import { type AuditedGeneration, RESTORED_EVENT } from './audit-tail.ts';
import { Millis, orNull, readStored, storedRecord } from './stored-record.ts';

/**
 * How old a state is: a number that grows with each checkpoint of the audit file of the gateway that leads. The state has
 * it first, the checkpoint after that. So a state whose number is below that of the audit file was put back.
 */
export interface Generation {
  readonly count: number;
  /** The line of the audit file that the checkpoint was about to sign, and whose file it is; `undefined`: after a restore. */
  readonly audited: ({ readonly gatewayId: string } & ChainHead) | undefined;
  readonly atMs: number;
  /** The operator put the state back with `gateway state restore`, and no checkpoint has said so yet. */
  readonly restored: Restored | undefined;
}

export interface Restored {
  readonly atMs: number;
  /** When the backup was made; `undefined`: the state was emptied. */
  readonly backupMadeAtMs: number | undefined;
}

export const generationKey = '/generation';

const StoredGeneration = storedRecord({
  count: ['count', z.number().int().positive()],
  audited: [
    'audited',
    orNull(
      storedRecord({
        gatewayId: ['gateway', z.string()],
        sequence: ['seq', z.number().int().nonnegative()],
        hash: ['hash', z.string()],
      }),
    ),
  ],
  atMs: ['at', Millis],
  restored: [
    'restored',
    orNull(storedRecord({ atMs: ['at', Millis], backupMadeAtMs: ['backup_made_at', orNull(Millis)] })),
  ],
});

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`. */
const generationOf = (value: unknown): Generation | undefined =>
  value === undefined ? undefined : readStored(StoredGeneration, { key: generationKey, value });

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`. */
export const generationIn = (records: readonly StoredRecord[]): Generation | undefined =>
  generationOf(records.find(([key]) => key === generationKey)?.[1]);

export const storedGeneration = (generation: Generation): object => z.encode(StoredGeneration, generation);

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`. */
export const readGeneration = async (store: Pick<Store, 'read'>): Promise<Generation | undefined> =>
  generationOf(await store.read(generationKey));

/** @throws `DAAS_STATE_ROLLED_BACK` for a state that is older than what the audit file has seen. */
export function refuseRolledBack(found: Generation | undefined, seenCount: number): void {
  const count = found?.count ?? 0;
  if (count >= seenCount) return;
  const what = count === 0 ? 'is empty or older than all of it' : `is of generation ${count}`;
  const way =
    "'k3s-daas gateway state backup --out FILE' and 'k3s-daas gateway state restore FILE'" +
    (count === 0 ? ", or an empty one with 'k3s-daas gateway state restore --empty'" : '');
  throw new ConfigurationError(
    'DAAS_STATE_ROLLED_BACK',
    `the state was put back: the audit file has seen generation ${seenCount}, and the state ${what}. Bans since then are missing: put the newer state in its place, or accept this one with ${way}`,
    { details: { generation: count, seen: seenCount } },
  );
}

/** The generation of the state of a running gateway. */
export interface Generations {
  /**
   * Looks at the state that this gateway leads on from now on.
   * @returns what `gateway state restore` left for the audit file.
   * @throws `DAAS_STATE_ROLLED_BACK`; then `anchor` writes nothing.
   */
  lead(found: Generation | undefined): Restored | undefined;
  /** What another gateway that leads has written. */
  learn(news: StoreNews): void;
  /**
   * Lets the state remember the end of the audit file, if this gateway leads.
   * `sync` makes the audit file survive a loss of power: the state forgets a restore that is a line there.
   * @returns the newest generation that it knows; `undefined`: there is none yet. A state that cannot be written keeps its own.
   */
  anchor(head: ChainHead, sync: () => Promise<void>): Promise<number | undefined>;
}

export interface GenerationsOptions {
  readonly store: Pick<Store, 'write'>;
  readonly gatewayId: string;
  /** Whether this gateway may write now. */
  readonly mayWrite: () => boolean;
  readonly nowMs: () => number;
  /** The newest generation in the audit file. */
  readonly seenCount: number;
}

export function createGenerations({
  store,
  gatewayId,
  mayWrite,
  nowMs,
  seenCount,
}: GenerationsOptions): Generations {
  let newest = seenCount;
  let isLeading = false;
  let isRestored = false;
  let anchoredHash: string | undefined;
  return {
    lead(found) {
      // Asked again by a take-over that has failed since: `anchor` may have written meanwhile.
      if (isLeading) return undefined;
      refuseRolledBack(found, newest);
      newest = found?.count ?? newest;
      isLeading = true;
      isRestored = found?.restored !== undefined;
      return found?.restored;
    },
    learn(news) {
      newest = Math.max(newest, generationInNews(news)?.count ?? 0);
    },
    async anchor(head, sync) {
      // The checkpoint of an earlier attempt could not be written: the state has it already.
      if (!isLeading || !mayWrite() || head.hash === anchoredHash) return newest || undefined;
      const next: Generation = {
        count: newest + 1,
        audited: { gatewayId, sequence: head.sequence, hash: head.hash },
        atMs: nowMs(),
        restored: undefined,
      };
      try {
        if (isRestored) await sync();
        await store.write([{ key: generationKey, value: storedGeneration(next) }]);
        isRestored = false;
        newest = next.count;
        anchoredHash = head.hash;
      } catch {
        // The next checkpoint tries again; that the state cannot be written is reported elsewhere.
      }
      return newest || undefined;
    },
  };
}

function generationInNews(news: StoreNews): Generation | undefined {
  if (news.kind === 'listed') return generationIn(news.records);
  return generationOf(news.changes.findLast(({ key }) => key === generationKey)?.value);
}

/** What the operator did while no gateway ran becomes a line of the audit file. */
export function noteRestored(audit: Pick<Audit, 'record'>, restored: Restored | undefined): void {
  if (!restored) return;
  const { atMs, backupMadeAtMs } = restored;
  audit.record(RESTORED_EVENT, {
    restored_at: new Date(atMs).toISOString(),
    backup_made_at: backupMadeAtMs === undefined ? undefined : new Date(backupMadeAtMs).toISOString(),
  });
}

/** How the audit file differs from what the state remembers of it; `undefined`: it does not, as far as can be seen. */
export function auditDifference(
  found: Generation | undefined,
  { gatewayId, head, audited }: { gatewayId: string; head: ChainHead; audited: AuditedGeneration },
): string | undefined {
  const remembered = found?.audited;
  if (remembered?.gatewayId !== gatewayId) return undefined;
  if (head.sequence < remembered.sequence)
    return `it ends at line ${head.sequence}, and the state remembers line ${remembered.sequence}`;
  if (audited.count === found?.count && audited.through !== remembered.hash)
    return `line ${remembered.sequence} is another one than the state remembers`;
  return undefined;
}
