import { access } from 'node:fs/promises';
import { ConfigurationError, DaasError, silentLog } from '#base';
import type { StateEngine, StateRecord } from '#domain';
import {
  type Backup,
  backupText,
  createStore,
  isUnsealed,
  type KeyRing,
  type Leadership,
  readBackup,
  refuseSealed,
  refuseUnfinished,
  replaceAll,
  type Store,
  sealAll,
  sealEngine,
} from '#state';
import { auditedGeneration } from './audit-tail.ts';
import { auditPathOf } from './gateway-parts.ts';
import { keysOf, openEngine, type StateSite, statePath } from './gateway-state.ts';
import { openKnownLogins } from './known-logins.ts';
import { openRegistry } from './registry.ts';
import { formatKey, refuseNewer } from './state-format.ts';
import {
  generationIn,
  generationKey,
  type Restored,
  readGeneration,
  refuseRolledBack,
  storedGeneration,
} from './state-generation.ts';

const electionMs = 3_000;
/** Far beyond what the audit file of another gateway can have seen that the one here has not. */
const leap = 1_000_000;

/** A Lease that a killed gateway has left ends only after its whole duration, seen from here. */
const electionOf = ({ config: { state } }: StateSite): number =>
  state.engine === 'kubernetes' ? state.kubernetes.leaseSeconds * 1_000 + electionMs : electionMs;

/** What a state holds, every record of which was read as the gateway reads it. */
export interface StateFigures {
  readonly records: number;
  readonly workers: number;
  readonly bans: number;
  readonly names: number;
  readonly claims: number;
  readonly isSealed: boolean;
}

/**
 * Reads the state as a start would, and changes nothing.
 * @throws `DAAS_STATE_MISSING`, `DAAS_STATE_ROLLED_BACK`, `DAAS_GATEWAY_STORE_BUSY` while a gateway runs on a state file, and as a start would.
 */
export async function verifyState(place: StateSite): Promise<StateFigures> {
  await refuseMissing(place);
  await using state = await openForReading(place, await keysOf(place.config));
  const store = createStore(state.engine);
  const figures = await figuresOf(store, state.isSealed);
  const { count } = await auditedGeneration(auditPathOf(place.config), undefined);
  refuseRolledBack(await readGeneration(store), count);
  return figures;
}

/** @returns the text of a backup; as `verifyState`, it throws when the state is not sound. */
export async function backUpState(
  place: StateSite,
  nowMs: number,
): Promise<{ readonly text: string; readonly figures: StateFigures }> {
  await refuseMissing(place);
  const ring = await keysOf(place.config);
  await using state = await openForReading(place, ring);
  const figures = await figuresOf(createStore(state.engine), state.isSealed);
  const records = await state.engine.list('/');
  return { text: backupText({ scope: place.clusterId, madeAtMs: nowMs, records }, ring), figures };
}

/** A backup that was read and examined. */
export interface RestorableState {
  readonly backup: Backup;
  readonly figures: StateFigures;
  /**
   * Puts it in the place of what there is.
   * @returns how many records there were.
   */
  restore(): Promise<number>;
}

/** @throws `DAAS_STATE_BACKUP_INVALID` for one of another cluster too, and as a start on it would. */
export async function openBackup(
  place: StateSite,
  { text, path, nowMs }: { readonly text: string; readonly path: string; readonly nowMs: number },
): Promise<RestorableState> {
  const ring = await keysOf(place.config);
  const backup = readBackup(text, path, ring);
  if (backup.scope !== place.clusterId)
    throw new ConfigurationError(
      'DAAS_STATE_BACKUP_INVALID',
      `${path} cannot be restored: it is of the cluster ${backup.scope}, and this one is ${place.clusterId}. Take another`,
    );
  const figures = await figuresOf(createStore(recordsAlone(backup.records)), ring !== undefined);
  const restored = { atMs: nowMs, backupMadeAtMs: backup.madeAtMs };
  return { backup, figures, restore: () => restoreInto(place, ring, { records: backup.records, restored }) };
}

/**
 * Puts an empty state in the place of what there is.
 * @returns how many records there were.
 */
export async function emptyState(site: StateSite, nowMs: number): Promise<number> {
  const restored = { atMs: nowMs, backupMadeAtMs: undefined };
  return restoreInto(site, await keysOf(site.config), { records: [], restored });
}

interface Replacement {
  readonly records: readonly StateRecord[];
  readonly restored: Restored;
}

/** The state is older than before, by the word of the operator: so it gets a generation that no audit file has seen. */
async function restoreInto(
  site: StateSite,
  ring: KeyRing | undefined,
  { records: given, restored }: Replacement,
): Promise<number> {
  const { clusterId } = site;
  const { engine: opened, leadership } = await openEngine(site);
  await using engine = opened;
  await refuseLed(leadership, electionOf(site));
  const before = await engine.list('/');
  const seen = await auditedGeneration(auditPathOf(site.config), undefined);
  const count =
    Math.max(seen.count, countIn(given), await countOf(engine, before, { ring, clusterId })) + leap;
  const generation = storedGeneration({ count, audited: undefined, atMs: restored.atMs, restored });
  const records: readonly StateRecord[] = [
    ...given.filter(([key]) => key !== generationKey),
    [generationKey, JSON.stringify(generation)],
  ];
  await replaceAll(engine, ring ? sealAll(engine, { ring, scope: clusterId }, records) : records);
  return before.length;
}

/** Of the state that is replaced: one that cannot be read has none. */
async function countOf(
  engine: StateEngine,
  records: readonly StateRecord[],
  { ring, clusterId }: { readonly ring: KeyRing | undefined; readonly clusterId: string },
): Promise<number> {
  try {
    // What is not sealed yet stays so.
    const opened = ring && !isUnsealed(records) ? await sealEngine(engine, ring, clusterId) : engine;
    return (await readGeneration(createStore(opened)))?.count ?? 0;
  } catch {
    return 0;
  }
}

const countIn = (records: readonly StateRecord[]): number =>
  generationIn(records.map(([key, text]) => [key, JSON.parse(text)]))?.count ?? 0;

/** @throws `DAAS_STATE_IN_USE` unless this command leads: a gateway that does would write over what is restored. */
async function refuseLed(leadership: Leadership, withinMs: number): Promise<void> {
  try {
    await leadership.untilLeading(AbortSignal.timeout(withinMs));
  } catch (cause) {
    throw new DaasError(
      'DAAS_STATE_IN_USE',
      `a gateway leads on this state (${leadership.leader() ?? 'unknown'}): stop all gateways of the cluster, and wait until its lease has ended`,
      { cause },
    );
  }
}

async function refuseMissing({ config }: StateSite): Promise<void> {
  if (config.state.engine !== 'sqlite') return;
  const path = statePath(config);
  // Opening it would make it.
  await access(path).catch((cause: unknown) => {
    throw new ConfigurationError(
      'DAAS_STATE_MISSING',
      `there is no state at ${path}: check gateway.stateDir, and run this as the gateway's user`,
      { cause },
    );
  });
}

/** A state that is not sealed yet is left so. */
async function openForReading(site: StateSite, ring: KeyRing | undefined) {
  const { engine } = await openEngine(site, { isCandidate: false });
  try {
    await refuseUnfinished(engine);
    const isSealed = ring !== undefined && !isUnsealed(await engine.list('/'));
    if (!isSealed) await refuseSealed(engine);
    const opened = isSealed ? await sealEngine(engine, ring, site.clusterId) : engine;
    return { engine: opened, isSealed, [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose]() };
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

async function figuresOf(store: Store, isSealed: boolean): Promise<StateFigures> {
  refuseNewer(await store.read(formatKey));
  const registry = await openRegistry(store);
  await openKnownLogins({ store, log: silentLog });
  return {
    records: (await store.list('/')).length,
    workers: registry.workers().length,
    bans: registry.bans().size,
    names: [...registry.histories()].length,
    claims: registry.claims().size,
    isSealed,
  };
}

/** Records in memory, which are only read. */
function recordsAlone(records: readonly StateRecord[]): StateEngine {
  const texts = new Map(records);
  const refuse = () => Promise.reject(new Error('a backup is not written'));
  return {
    kind: 'sqlite',
    isLocal: true,
    mostChanges: 0,
    read: (key) => Promise.resolve(texts.get(key)),
    list: (prefix) => Promise.resolve(records.filter(([key]) => key.startsWith(prefix))),
    write: refuse,
    follow: refuse,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
