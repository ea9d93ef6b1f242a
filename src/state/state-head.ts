import { ConfigurationError } from '#base';
import type { StateObject } from '#domain';

/**
 * The head of a state in Kubernetes: who may write, and what was written and is in no bucket yet. One write of it is one
 * transaction.
 */
export interface Head {
  /** Of the leader that wrote it: a write of another one finds another version, and fails. */
  readonly term: string;
  /** The leader's name, for people. */
  readonly leader: string;
  /** One more with each write. */
  readonly sequence: number;
  /** Of this write: a writer whose answer was lost recognizes its own. */
  readonly write: string;
  /** Key → text, or null where it was removed; what was written last is last. */
  readonly changes: ReadonlyMap<string, string | null>;
}

/** A part of the records, as of one moment: what is in the head counts instead. */
export interface Bucket {
  /** The sequence of the head as of which it is complete. */
  readonly sequence: number;
  readonly records: ReadonlyMap<string, string>;
}

/** The name of the head's object; all others are buckets. */
export const HEAD = 'head';

const FORMAT = 'k3s-daas-state/1';

export const emptyHead: Head = { term: '', leader: '', sequence: 0, write: '', changes: new Map() };

export const headText = ({ changes, ...head }: Head): string =>
  JSON.stringify({ format: FORMAT, ...head, changes: [...changes] });

export const bucketText = ({ sequence, records }: Bucket): string =>
  JSON.stringify({ format: FORMAT, sequence, records: [...records] });

/** @throws `DAAS_STATE_FORGED` */
export function readHead(name: string, text: string): Head {
  const { term, leader, sequence, write, changes } = read<StoredHead>(name, text);
  return { term, leader, sequence, write, changes: new Map(changes) };
}

/** @throws `DAAS_STATE_FORGED` */
export function readBucket(name: string, text: string): Bucket {
  const { sequence, records } = read<StoredBucket>(name, text);
  return { sequence, records: new Map(records) };
}

interface StoredHead extends Omit<Head, 'changes'> {
  readonly format: string;
  readonly changes: ReadonlyArray<readonly [string, string | null]>;
}

interface StoredBucket extends Omit<Bucket, 'records'> {
  readonly format: string;
  readonly records: ReadonlyArray<readonly [string, string]>;
}

function read<Stored extends { readonly format: string }>(name: string, text: string): Stored {
  let stored: Stored | undefined;
  let cause: unknown;
  try {
    stored = JSON.parse(text) as Stored;
  } catch (error) {
    cause = error;
  }
  if (stored?.format === FORMAT) return stored;
  throw new ConfigurationError(
    'DAAS_STATE_FORGED',
    `the Secret ${name} of the state is not one that this version writes: find out who can write the state, remove the Secret ('kubectl -n k3s-daas-state delete secret ${name}'), and restore the state from a backup`,
    { details: { record: name }, ...(cause !== undefined && { cause }) },
  );
}

/** A head and the version under which the API server has it; `undefined`: it is not there yet. */
export interface KeptHead {
  readonly head: Head;
  readonly version: string | undefined;
}

/** The records of all objects of one moment. */
export function wholeOf(objects: readonly StateObject[]): {
  readonly kept: KeptHead;
  readonly records: Map<string, string>;
  readonly floor: number;
} {
  const found = objects.find(({ name }) => name === HEAD);
  const head = found ? readHead(HEAD, found.text) : emptyHead;
  const records = new Map<string, string>();
  let floor = 0;
  for (const { name, text } of objects) {
    if (name === HEAD) continue;
    const bucket = readBucket(name, text);
    floor = Math.max(floor, bucket.sequence);
    for (const [key, value] of bucket.records) records.set(key, value);
  }
  for (const [key, text] of head.changes)
    if (text === null) records.delete(key);
    else records.set(key, text);
  return { kept: { head, version: found?.version }, records, floor };
}
