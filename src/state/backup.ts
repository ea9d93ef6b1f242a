import { createHash } from 'node:crypto';
import { ConfigurationError } from '#base';
import type { StateEngine, StateRecord, TextChange } from '#domain';
import { isSealed, openText, sealText } from './envelope.ts';
import type { KeyRing } from './key-ring.ts';

/** The whole state of one moment, as a file keeps it. */
export interface Backup {
  /** The id of the cluster on chain. */
  readonly scope: string;
  readonly madeAtMs: number;
  readonly records: readonly StateRecord[];
}

/** The first line of the file; the second one holds the records. */
interface Head {
  readonly format: string;
  readonly cluster: string;
  readonly made_at: number;
  readonly records: number;
  /** Of the records, in a backup that is not sealed: finds a damaged copy, no forged one. */
  readonly sha256?: string;
}

const FORMAT = 'k3s-daas-state-backup/1';
const hash = (text: string) => createHash('sha256').update(text).digest('hex');
const placeOf = (head: string, scope: string) => ({ engine: 'backup', scope, name: head });

/** The records are sealed with the current key, if there is a ring, and so is what the first line says. */
export function backupText({ scope, madeAtMs, records }: Backup, ring: KeyRing | undefined): string {
  const body = JSON.stringify(records);
  const common = { format: FORMAT, cluster: scope, made_at: madeAtMs, records: records.length };
  const head = JSON.stringify({ ...common, ...(!ring && { sha256: hash(body) }) } satisfies Head);
  return `${head}\n${ring ? sealText(ring.current(), placeOf(head, scope), body) : body}\n`;
}

/** @throws `DAAS_STATE_BACKUP_INVALID`, `DAAS_STATE_SEALED`, `DAAS_STATE_FORGED`, `DAAS_STATE_KEY_UNKNOWN`. */
export function readBackup(text: string, path: string, ring: KeyRing | undefined): Backup {
  const [first = '', second = '', rest] = text.split('\n');
  const head = parse<Head>(first);
  if (head?.format !== FORMAT || typeof head.cluster !== 'string' || rest !== '')
    throw invalid(path, 'it is no backup of a gateway’s state, or it was cut');
  const scope = head.cluster;
  const body = isSealed(second) ? openBody(first, second, scope, ring) : second;
  if (!isSealed(second) && head.sha256 !== hash(body)) throw invalid(path, 'it was altered or damaged');
  const records = parse<StateRecord[]>(body);
  if (!records || records.length !== head.records) throw invalid(path, 'it was altered or damaged');
  return { scope, madeAtMs: head.made_at, records };
}

function openBody(head: string, body: string, scope: string, ring: KeyRing | undefined): string {
  if (ring) return openText((id) => ring.find(id), placeOf(head, scope), body);
  throw new ConfigurationError(
    'DAAS_STATE_SEALED',
    'the backup is sealed, and gateway.state.keys names no keys: name them',
  );
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}

const invalid = (path: string, why: string) =>
  new ConfigurationError('DAAS_STATE_BACKUP_INVALID', `${path} cannot be restored: ${why}. Take another`);

/** Its presence says that a restore has begun and not ended; it exists only in engines that take few changes at once. */
const UNFINISHED = '/restoring';

/** Puts these texts in the place of everything that the engine holds. */
export async function replaceAll(engine: StateEngine, records: readonly StateRecord[]): Promise<void> {
  const kept = new Set(records.map(([key]) => key));
  const changes: TextChange[] = [
    ...(await engine.list('/'))
      .filter(([key]) => !kept.has(key) && key !== UNFINISHED)
      .map(([key]) => ({ key, text: undefined })),
    ...records.map(([key, text]) => ({ key, text })),
  ];
  if (changes.length <= engine.mostChanges) return engine.write(changes);
  await engine.write([{ key: UNFINISHED, text: 'true' }]);
  for (let start = 0; start < changes.length; start += engine.mostChanges)
    await engine.write(changes.slice(start, start + engine.mostChanges));
  await engine.write([{ key: UNFINISHED, text: undefined }]);
}

/** @throws `DAAS_STATE_UNFINISHED` */
export async function refuseUnfinished(engine: StateEngine): Promise<void> {
  if ((await engine.read(UNFINISHED)) === undefined) return;
  throw new ConfigurationError(
    'DAAS_STATE_UNFINISHED',
    "a restore of the state began and did not end: run 'k3s-daas gateway state restore' again",
  );
}
