import { type Clock, errorFields, type Log } from '#base';
import type { ChainReader, ClusterParameters, StakeRecord, TenantKeeper, TenantNamespace } from '#domain';
import { endedStake, tierOf } from '#seal';
import type { Audit } from './audit.ts';

export interface TenantRoundsOptions {
  readonly keeper: Pick<TenantKeeper, 'refresh' | 'announceEnd' | 'remove'>;
  readonly chain: Pick<ChainReader, 'records' | 'cluster'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
  readonly log: Log;
  /** How long the namespace of a wallet is kept after its last stake has ended. */
  readonly graceMs: number;
  /** Whether it is deleted then. */
  readonly remove: boolean;
}

/** Looks after the namespaces of people whether or not their owners log in. */
export interface TenantRounds {
  /** One round at the start, then one every ten minutes, until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

const roundMs = 600_000;
/** Records that are read at once. */
const chunk = 50;

export function createTenantRounds(options: TenantRoundsOptions): TenantRounds {
  return {
    async run(signal) {
      while (!signal.aborted) {
        await round(options, signal).catch((error: unknown) => {
          if (!signal.aborted)
            options.log.warn('The namespaces of people could not be looked after', errorFields(error));
        });
        await options.clock.sleep(roundMs, signal).catch(() => undefined);
      }
    },
  };
}

async function round(options: TenantRoundsOptions, signal: AbortSignal): Promise<void> {
  const { keeper, audit } = options;
  const { namespaces, changes } = await keeper.refresh(signal);
  if (changes.length > 0)
    audit.record('tenant.restored', { count: changes.length, made: changes.join(', ') });
  const ended = await endedOf(options, namespaces, signal);
  for (const namespace of ended) await tendEnded(options, namespace, signal);
}

/** The namespaces none of whose stakes counts any more. A record that cannot be read is not taken for one that has ended. */
async function endedOf(
  { chain }: TenantRoundsOptions,
  namespaces: readonly TenantNamespace[],
  signal: AbortSignal,
): Promise<readonly TenantNamespace[]> {
  const known = namespaces.filter(({ recordIds }) => recordIds.length > 0);
  if (known.length === 0) return [];
  const { parameters } = await chain.cluster(signal);
  const ids = [...new Set(known.flatMap(({ recordIds }) => recordIds))];
  const records = new Map<string, StakeRecord | undefined>();
  for (let start = 0; start < ids.length; start += chunk)
    for (const [id, record] of await chain.records(ids.slice(start, start + chunk), signal))
      records.set(id, record);
  return known.filter(({ recordIds }) => recordIds.every((id) => hasEnded(parameters, records.get(id))));
}

/** Ended, or less than the first tier: no login counts by it. */
function hasEnded(parameters: ClusterParameters, record: StakeRecord | undefined): boolean {
  if (!record) return false;
  return endedStake(record) !== undefined || tierOf(parameters, record.stakeMist) === undefined;
}

/** Announces the end once; removes the namespace after the grace, if that is wanted. */
async function tendEnded(
  { keeper, audit, clock, log, graceMs, remove }: TenantRoundsOptions,
  { wallet, namespace, endedAtMs, keptUntilMs }: TenantNamespace,
  signal: AbortSignal,
): Promise<void> {
  const nowMs = clock.nowMs();
  if (endedAtMs === undefined || keptUntilMs === undefined) {
    const end = { wallet, endedAtMs: nowMs, keptUntilMs: nowMs + graceMs, isRemoved: remove };
    await keeper.announceEnd(end, signal);
    const keptUntil = new Date(end.keptUntilMs).toISOString();
    audit.record('tenant.ended', { wallet, namespace, kept_until: keptUntil, removed: remove });
    log.warn('The last stake of a namespace has ended', {
      wallet,
      detail: `${namespace} until ${keptUntil}`,
    });
    return;
  }
  if (!remove || nowMs < keptUntilMs || !(await keeper.remove(wallet, signal))) return;
  audit.record('tenant.removed', { wallet, namespace });
  log.warn('A namespace was removed: its stake has ended', { wallet, detail: namespace });
}
