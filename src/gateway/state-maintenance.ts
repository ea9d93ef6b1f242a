import { access } from 'node:fs/promises';
import { ConfigurationError, silentLog } from '#base';
import type { StateEngine, StateRecord } from '#domain';
import {
  type Backup,
  backupText,
  createStore,
  isUnsealed,
  type KeyRing,
  openSqliteEngine,
  readBackup,
  refuseSealed,
  refuseUnfinished,
  replaceAll,
  type Store,
  sealAll,
  sealEngine,
} from '#state';
import type { RunnableGatewayConfig } from './config.ts';
import { keysOf, statePath } from './gateway-state.ts';
import { openKnownLogins } from './known-logins.ts';
import { openRegistry } from './registry.ts';

/** Which state, by the configuration. */
export interface StatePlace {
  readonly config: Pick<RunnableGatewayConfig, 'stateDir' | 'state'>;
  readonly clusterId: string;
}

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
export async function verifyState(place: StatePlace): Promise<StateFigures> {
  await refuseMissing(place);
  await using state = await openForReading(place, await keysOf(place.config));
  return await figuresOf(createStore(state.engine), state.isSealed);
}

/** @returns the text of a backup; as `verifyState`, it throws when the state is not sound. */
export async function backUpState(
  place: StatePlace,
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
export async function openBackup(place: StatePlace, text: string, path: string): Promise<RestorableState> {
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
  { config, clusterId }: StatePlace,
  ring: KeyRing | undefined,
  records: readonly StateRecord[],
): Promise<number> {
  await using engine = openSqliteEngine(statePath(config));
  const before = await engine.list('/');
  await replaceAll(engine, ring ? sealAll(engine, { ring, scope: clusterId }, records) : records);
  return before.length;
}

async function refuseMissing({ config }: StatePlace): Promise<void> {
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
async function openForReading({ config, clusterId }: StatePlace, ring: KeyRing | undefined) {
  const engine = openSqliteEngine(statePath(config));
  try {
    await refuseUnfinished(engine);
    const isSealed = ring !== undefined && !(await isUnsealed(engine));
    if (!isSealed) await refuseSealed(engine);
    const opened = isSealed ? await sealEngine(engine, ring, clusterId) : engine;
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
