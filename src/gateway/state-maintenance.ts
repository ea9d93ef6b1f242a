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
import { keysOf, openEngine, type StateSite, statePath } from './gateway-state.ts';
import { openKnownLogins } from './known-logins.ts';
import { openRegistry } from './registry.ts';

const electionMs = 3_000;

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
 * @throws `DAAS_STATE_MISSING`, `DAAS_GATEWAY_STORE_BUSY` while a gateway runs on a state file, and as a start would.
 */
export async function verifyState(place: StateSite): Promise<StateFigures> {
  await refuseMissing(place);
  await using state = await openForReading(place, await keysOf(place.config));
  return await figuresOf(createStore(state.engine), state.isSealed);
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
export async function openBackup(place: StateSite, text: string, path: string): Promise<RestorableState> {
  const ring = await keysOf(place.config);
  const backup = readBackup(text, path, ring);
  if (backup.scope !== place.clusterId)
    throw new ConfigurationError(
      'DAAS_STATE_BACKUP_INVALID',
      `${path} cannot be restored: it is of the cluster ${backup.scope}, and this one is ${place.clusterId}. Take another`,
    );
  const figures = await figuresOf(createStore(recordsAlone(backup.records)), ring !== undefined);
  return { backup, figures, restore: () => restoreInto(place, ring, backup.records) };
}

async function restoreInto(
  site: StateSite,
  ring: KeyRing | undefined,
  records: readonly StateRecord[],
): Promise<number> {
  const { clusterId } = site;
  const { engine: opened, leadership } = await openEngine(site);
  await using engine = opened;
  await refuseLed(leadership, electionOf(site));
  const before = await engine.list('/');
  await replaceAll(engine, ring ? sealAll(engine, { ring, scope: clusterId }, records) : records);
  return before.length;
}

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
