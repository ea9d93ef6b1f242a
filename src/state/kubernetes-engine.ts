import { createHash, randomUUID } from 'node:crypto';
import { createMutex, DaasError, type Mutex, messageOf } from '#base';
import type { StateEngine, StateRecord, TextChange } from '#domain';
import { type ElectedLeadership, notLeading } from './election.ts';
import { followHead, type SharedObjects } from './kubernetes-follower.ts';
import {
  type Bucket,
  bucketText,
  emptyHead,
  HEAD,
  type Head,
  headText,
  type KeptHead,
  readBucket,
  readHead,
  wholeOf,
} from './state-head.ts';

interface Secrets extends SharedObjects {
  readonly turn: Mutex;
  /** As this gateway wrote or read it last; `undefined`: it has to be read. */
  kept: KeptHead | undefined;
  /** The highest sequence of a bucket that was seen: above that of the head where somebody has removed the head, or put it back. */
  floor: number;
}

const mostChanges = 100;
const attempts = 3;
/** Each write sends the whole head: from this size on, what is oldest in it goes to the buckets, as much as one round of requests takes. */
const fullBytes = 32 * 1_024;
const tidyBytes = 24 * 1_024;
/** A Secret holds 1 MiB (core/v1 `MaxSecretSize`). */
const mostBytes = 1_000_000;
const buckets = 1_024;
const bucketsAtOnce = 8;

/**
 * The state in Secrets of a Kubernetes API server, which changes one object at a time. A write is one write of the head; the
 * records move from there to their buckets later, and what is in both counts as the head has it. So a crash at any moment leaves
 * a whole state, and whatever an earlier leader still moves is what counts already. Only the gateway that leads writes.
 */
export interface KubernetesEngine {
  /** Keeps every other gateway from writing from now on. */
  takeHead(taking: Taking): Promise<void>;
  /** With the leadership that `takeHead` was given to. */
  engine(leadership: ElectedLeadership<string>): StateEngine;
}

export function openKubernetesEngine(options: SharedObjects): KubernetesEngine {
  const secrets: Secrets = { ...options, turn: createMutex(), kept: undefined, floor: 0 };
  const { objects } = options;
  return {
    takeHead: (taking) => secrets.turn(() => takeHead(secrets, taking)),
    engine: (leadership) => ({
      kind: 'kubernetes',
      isLocal: false,
      mostChanges,
      read: (key) => read(secrets, key),
      list: (prefix) => list(secrets, prefix),
      write: (changes) => secrets.turn(() => write(secrets, leadership, changes)),
      follow: (listener, signal) => followHead(options, listener, signal),
      async [Symbol.asyncDispose]() {
        await leadership[Symbol.asyncDispose]();
        await objects[Symbol.asyncDispose]();
      },
    }),
  };
}

/** A leadership that begins. */
export interface Taking {
  readonly term: string;
  readonly leader: string;
  /** The Lease that was won still holds. */
  readonly mayTake: () => boolean;
}

/** A head that another writes at this moment is taken after that. */
async function takeHead(secrets: Secrets, { term, leader, mayTake }: Taking): Promise<void> {
  let earlier: string | undefined;
  secrets.kept = undefined;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const kept = await readKept(secrets);
    const { changes, term: holder } = kept.head;
    // The earlier leader may write on; a newer one keeps it.
    if (!mayTake() || (earlier !== undefined && holder !== earlier && holder !== term))
      throw failed('another gateway leads by now');
    earlier = holder;
    const sequence = nextSequence(secrets, kept.head);
    if (await put(secrets, kept, { term, leader, sequence, write: randomUUID(), changes })) return;
  }
  throw failed('another gateway writes it');
}

async function readKept({ objects }: Secrets): Promise<KeptHead> {
  const found = await objects.read(HEAD);
  return { head: found ? readHead(HEAD, found.text) : emptyHead, version: found?.version };
}

/** @returns whether nobody else has written it since. */
async function put(secrets: Secrets, { version }: KeptHead, head: Head): Promise<boolean> {
  secrets.kept = undefined;
  const written = await secrets.objects.write({ name: HEAD, text: headText(head), version });
  if (written) secrets.kept = { head, version: written.version };
  return written !== undefined;
}

/** Of 1024, so that moving a few records writes little: with 10 000 records a bucket has some 12 KB. */
function bucketOf(key: string): string {
  const number = createHash('sha256').update(key).digest().readUInt16BE() % buckets;
  return `records-${number.toString(16).padStart(3, '0')}`;
}

async function read({ objects }: Secrets, key: string): Promise<string | undefined> {
  const found = await objects.read(HEAD);
  const change = found && readHead(HEAD, found.text).changes.get(key);
  if (change !== undefined) return change ?? undefined;
  // What was moved there since counts, too.
  const name = bucketOf(key);
  const bucket = await objects.read(name);
  return bucket && readBucket(name, bucket.text).records.get(key);
}

async function list(secrets: Secrets, prefix: string): Promise<readonly StateRecord[]> {
  const wasUnknown = secrets.kept === undefined;
  const { kept, records, floor } = wholeOf(await secrets.objects.list());
  secrets.floor = Math.max(secrets.floor, floor);
  // A write that follows names the version that was listed: one that arrives late meanwhile makes it fail.
  if (wasUnknown) secrets.kept ??= kept;
  return [...records]
    .filter(([key]) => key.startsWith(prefix))
    .toSorted(([one], [other]) => (one < other ? -1 : 1));
}

async function write(
  secrets: Secrets,
  leadership: ElectedLeadership<string>,
  changes: readonly TextChange[],
): Promise<void> {
  if (changes.length === 0) return;
  const term = leadership.term();
  if (term === undefined) throw notLeading(leadership.leader());
  try {
    if (await writeAsLeader(secrets, term, changes)) return;
  } catch (cause) {
    // It may have been written: the next write looks first.
    secrets.kept = undefined;
    if (cause instanceof DaasError && cause.code === 'DAAS_GATEWAY_STORE_FAILED') throw cause;
    throw failed(messageOf(cause), cause);
  }
  secrets.kept = undefined;
  leadership.noteLoss();
  throw notLeading(leadership.leader());
}

/** @returns whether this gateway's term still counts. */
async function writeAsLeader(
  secrets: Secrets,
  term: string,
  changes: readonly TextChange[],
): Promise<boolean> {
  secrets.kept ??= await readKept(secrets);
  if (secrets.kept.head.term !== term) return false;
  if (sizeOf(secrets.kept.head) >= fullBytes) secrets.kept = await moveOldest(secrets, secrets.kept);
  const { kept } = secrets;
  const next = nextHead(secrets, kept.head, changes);
  if (sizeOf(next) > mostBytes) throw failed('so many changes at once do not fit into a Secret');
  if (await put(secrets, kept, next)) return true;
  const { head, version } = await readKept(secrets);
  if (head.term !== term) return false;
  // The API server, or what is before it, has sent the request twice.
  if (head.write === next.write) {
    secrets.kept = { head, version };
    return true;
  }
  throw failed('an earlier write has arrived late');
}

const nextSequence = ({ floor }: Secrets, { sequence }: Head): number => Math.max(sequence, floor) + 1;

function nextHead(secrets: Secrets, head: Head, changes: readonly TextChange[]): Head {
  const next = new Map(head.changes);
  for (const { key, text } of changes) {
    // What was written last is last, and moved last: a record that every write changes stays here.
    next.delete(key);
    next.set(key, text ?? null);
  }
  return { ...head, sequence: nextSequence(secrets, head), write: randomUUID(), changes: next };
}

const sizeOfChange = (key: string, text: string | null) => key.length + (text?.length ?? 4) + 8;

function sizeOf({ changes }: Head): number {
  let bytes = 0;
  for (const [key, text] of changes) bytes += sizeOfChange(key, text);
  return bytes;
}

/**
 * Moves the changes of whole buckets, those of the oldest changes first.
 * @returns the head without them, which the next write writes: until then they are in both.
 */
async function moveOldest(secrets: Secrets, { head, version }: KeptHead): Promise<KeptHead> {
  const left = new Map(head.changes);
  let bytes = sizeOf(head);
  const moved = new Map<string, Array<readonly [string, string | null]>>();
  for (const [oldest] of head.changes) {
    if (bytes < tidyBytes) break;
    const name = bucketOf(oldest);
    if (moved.has(name)) continue;
    const ofBucket = [...left].filter(([key]) => bucketOf(key) === name);
    for (const [key, text] of ofBucket) {
      left.delete(key);
      bytes -= sizeOfChange(key, text);
    }
    moved.set(name, ofBucket);
  }
  const all = [...moved];
  for (let start = 0; start < all.length; start += bucketsAtOnce)
    await Promise.all(
      all
        .slice(start, start + bucketsAtOnce)
        .map(([name, changes]) => moveInto(secrets, { name, changes, sequence: head.sequence })),
    );
  return { head: { ...head, changes: left }, version };
}

interface Move {
  readonly name: string;
  /** All that the head has of this bucket. */
  readonly changes: ReadonlyArray<readonly [key: string, text: string | null]>;
  /** Of the head. */
  readonly sequence: number;
}

async function moveInto({ objects }: Secrets, { name, changes, sequence }: Move): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const found = await objects.read(name);
    const bucket: Bucket = found ? readBucket(name, found.text) : { sequence: 0, records: new Map() };
    // An earlier attempt has moved them, and its answer was lost.
    if (bucket.sequence === sequence) return;
    if (bucket.sequence > sequence) throw failed(`a later leader has written the Secret ${name}`);
    const records = new Map(bucket.records);
    for (const [key, text] of changes)
      if (text === null) records.delete(key);
      else records.set(key, text);
    const text = bucketText({ sequence, records });
    if (text.length > mostBytes) throw failed(`the Secret ${name} is full: use the engine etcd`);
    if (await objects.write({ name, text, version: found?.version })) return;
  }
  throw failed(`another gateway writes the Secret ${name}`);
}

function failed(why: string, cause?: unknown): DaasError {
  return new DaasError('DAAS_GATEWAY_STORE_FAILED', `the state in Kubernetes cannot be written: ${why}`, {
    ...(cause !== undefined && { cause }),
  });
}
