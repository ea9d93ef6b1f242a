import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { ConfigurationError, createMutex, inSlices, type Mutex } from '#base';
import type { StateEngine, StateNews, StateRecord, TextChange } from '#domain';
import { forged, isSealed, keyIdOf, openText, type Place, sealText } from './envelope.ts';
import type { KeyRing } from './key-ring.ts';

/** An engine whose values are sealed. */
export interface SealedEngine extends StateEngine {
  /**
   * Seals anew what is sealed with an earlier key, in steps between which others write.
   * @returns how many values those were.
   */
  reseal(): Promise<number>;
}

interface Sealing {
  readonly engine: StateEngine;
  readonly ring: KeyRing;
  readonly scope: string;
  readonly turn: Mutex;
  /** What the state holds, as of the last look or write; `undefined`: it has to be looked at. */
  index: Index | undefined;
  /** The whole state as the start has read it, for the first who asks. */
  first: readonly StateRecord[] | undefined;
}

/**
 * What the records add up to, sealed beside them and written with each change: a record that was removed, or put back to
 * what it was earlier, does not add up. The sum is an XOR of one MAC a record, so that a write costs what it changes.
 */
interface Index {
  readonly macKey: KeyObject;
  readonly sum: Buffer;
  readonly elements: Map<string, Buffer>;
}

const INDEX = '/seal';
const macBytes = 32;
const resealChunk = 100;

/**
 * Seals every value for its record, engine and cluster, and examines the whole state.
 * A local state that is not sealed yet is sealed now, in one transaction.
 * @throws `DAAS_STATE_FORGED`, `DAAS_STATE_KEY_UNKNOWN`.
 */
export async function sealEngine(engine: StateEngine, ring: KeyRing, scope: string): Promise<SealedEngine> {
  const sealing = newSealing(engine, ring, scope);
  const found = await engine.list('/');
  const mustSeal = engine.isLocal && isUnsealed(found);
  if (mustSeal) await sealFirst(sealing, found);
  sealing.first = await examineRead(sealing, mustSeal ? await engine.list('/') : found);
  return {
    kind: engine.kind,
    isLocal: engine.isLocal,
    // With each write goes the index.
    mostChanges: engine.mostChanges - 1,
    async read(key) {
      const text = await engine.read(key);
      return text === undefined ? undefined : open(sealing, key, text);
    },
    // The whole state is examined as a whole; a part cannot be.
    list: async (prefix) =>
      prefix === '/' ? sealing.turn(() => whole(sealing)) : openAll(sealing, await engine.list(prefix)),
    async write(changes) {
      if (changes.length > 0) await sealing.turn(() => write(sealing, changes));
    },
    follow: (listener, signal) => follow(sealing, listener, signal),
    reseal: () => reseal(sealing),
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

/** The records as `sealEngine` finds them in order, with an index of their own. */
export function sealAll(
  engine: StateEngine,
  { ring, scope }: { readonly ring: KeyRing; readonly scope: string },
  records: readonly StateRecord[],
): readonly StateRecord[] {
  const sealing = newSealing(engine, ring, scope);
  const changes = records.map(([key, text]) => ({ key, text }));
  return sealChanges(sealing, emptyIndex(), changes).changes.map(({ key, text }) => [key, text ?? '']);
}

/** @throws `DAAS_STATE_SEALED` for a state that only the keys open. */
export async function refuseSealed(engine: StateEngine): Promise<void> {
  const sealed = (await engine.list('/')).find(([, text]) => isSealed(text));
  if (!sealed) return;
  throw new ConfigurationError(
    'DAAS_STATE_SEALED',
    `the state is sealed with the key '${keyIdOf(sealed[1]) ?? 'unknown'}', and gateway.state.keys names no keys: name them`,
  );
}

const newSealing = (engine: StateEngine, ring: KeyRing, scope: string): Sealing => ({
  engine,
  ring,
  scope,
  turn: createMutex(),
  index: undefined,
  first: undefined,
});

/** The state of a version that sealed nothing. */
export const isUnsealed = (records: readonly StateRecord[]): boolean =>
  records.length > 0 && !records.some(([, text]) => isSealed(text));

/** Only where nobody else writes: elsewhere an unsealed state would be anybody's. */
async function sealFirst(sealing: Sealing, records: readonly StateRecord[]): Promise<void> {
  sealing.index = emptyIndex();
  await write(
    sealing,
    records.map(([key, text]) => ({ key, text })),
  );
}

const emptyIndex = (): Index => ({
  macKey: createSecretKey(randomBytes(macBytes)),
  sum: Buffer.alloc(macBytes),
  elements: new Map(),
});

const placeOf = ({ engine, scope }: Sealing, name: string): Place => ({ engine: engine.kind, scope, name });

function open(sealing: Sealing, key: string, text: string): string {
  return openText((id) => sealing.ring.find(id), placeOf(sealing, key), text);
}

const withoutIndex = (records: readonly StateRecord[]) => records.filter(([key]) => key !== INDEX);
const openRecord = (sealing: Sealing, [key, text]: StateRecord): StateRecord => [
  key,
  open(sealing, key, text),
];
const openAll = (sealing: Sealing, records: readonly StateRecord[]): StateRecord[] =>
  withoutIndex(records).map((record) => openRecord(sealing, record));

function openNews(sealing: Sealing, news: StateNews): StateNews {
  if (news.kind === 'listed') return { kind: 'listed', records: openExamined(sealing, news.records) };
  const changes = news.changes
    .filter(({ key }) => key !== INDEX)
    .map(({ key, text }) => ({ key, text: text === undefined ? undefined : open(sealing, key, text) }));
  return { kind: 'changed', changes };
}

/** Others write meanwhile: what the state added up to before does not count for the first write after it. */
async function follow(
  sealing: Sealing,
  listener: (news: StateNews) => void,
  signal: AbortSignal,
): Promise<void> {
  forget(sealing);
  try {
    await sealing.engine.follow((news) => listener(openNews(sealing, news)), signal);
  } finally {
    forget(sealing);
  }
}

function forget(sealing: Sealing): void {
  sealing.index = undefined;
  sealing.first = undefined;
}

async function whole(sealing: Sealing): Promise<readonly StateRecord[]> {
  const { first } = sealing;
  sealing.first = undefined;
  return first ?? examine(sealing);
}

const examine = async (sealing: Sealing) => examineRead(sealing, await sealing.engine.list('/'));

/** In slices between which other work gets the thread: all of a large state at once would hold it for a second. */
async function examineRead(sealing: Sealing, all: readonly StateRecord[]): Promise<readonly StateRecord[]> {
  const records: StateRecord[] = [];
  await inSlices(withoutIndex(all), (record) => void records.push(openRecord(sealing, record)));
  const found = indexIn(sealing, all);
  const elements: Index['elements'] = new Map();
  if (found)
    await inSlices(withoutIndex(all), ([key, text]) => {
      elements.set(key, elementOf(found.macKey, key, text));
    });
  sealing.index = found ? addedUp(found, elements) : emptyIndex();
  return records;
}

/** @throws `DAAS_STATE_FORGED` unless the records are all that were written last, and no others. */
function openExamined(sealing: Sealing, all: readonly StateRecord[]): readonly StateRecord[] {
  const records = openAll(sealing, all);
  const found = indexIn(sealing, all);
  if (!found) return records;
  const elementIn = ([key, text]: StateRecord) => [key, elementOf(found.macKey, key, text)] as const;
  addedUp(found, new Map(withoutIndex(all).map(elementIn)));
  return records;
}

/** @throws `DAAS_STATE_FORGED` for records without one. */
function indexIn(sealing: Sealing, all: readonly StateRecord[]): Pick<Index, 'macKey' | 'sum'> | undefined {
  const sealedIndex = all.find(([key]) => key === INDEX)?.[1];
  if (sealedIndex !== undefined) return readIndex(open(sealing, INDEX, sealedIndex));
  if (all.length > 0) throw forged(INDEX, 'is missing, so nothing shows that the state is complete');
  return undefined;
}

/** @throws `DAAS_STATE_FORGED` for elements that are not the ones of the sum. */
function addedUp({ macKey, sum }: Pick<Index, 'macKey' | 'sum'>, elements: Index['elements']): Index {
  const found = Buffer.alloc(macBytes);
  for (const element of elements.values()) add(found, element);
  if (!found.equals(sum))
    throw forged(INDEX, 'does not fit the others: one was removed, or put back to what it was earlier');
  return { macKey, sum, elements };
}

function readIndex(text: string): Pick<Index, 'macKey' | 'sum'> {
  const { mac_key: macKey, sum } = JSON.parse(text) as { readonly mac_key: string; readonly sum: string };
  return { macKey: createSecretKey(macKey, 'base64url'), sum: Buffer.from(sum, 'base64url') };
}

const elementOf = (macKey: KeyObject, key: string, text: string): Buffer =>
  createHmac('sha256', macKey).update(`${key}\n${text}`).digest();

function add(sum: Buffer, element: Buffer): void {
  for (let at = 0; at < macBytes; at += 1) sum[at] = (sum[at] ?? 0) ^ (element[at] ?? 0);
}

interface Sealed {
  readonly changes: readonly TextChange[];
  readonly sum: Buffer;
  /** What to put into the elements, and what to take out of them. */
  readonly elements: ReadonlyArray<readonly [key: string, element: Buffer | undefined]>;
}

function sealChanges(sealing: Sealing, { macKey, sum, elements }: Index, changes: readonly TextChange[]) {
  const { ring } = sealing;
  const next = Buffer.from(sum);
  const sealed: TextChange[] = [];
  const changed: Array<readonly [string, Buffer | undefined]> = [];
  // Of several changes of one record the last counts.
  for (const [key, text] of new Map(changes.map((change) => [change.key, change.text]))) {
    const envelope = text === undefined ? undefined : sealText(ring.current(), placeOf(sealing, key), text);
    const before = elements.get(key);
    const after = envelope === undefined ? undefined : elementOf(macKey, key, envelope);
    if (before) add(next, before);
    if (after) add(next, after);
    sealed.push({ key, text: envelope });
    changed.push([key, after]);
  }
  const index = JSON.stringify({
    mac_key: macKey.export().toString('base64url'),
    sum: next.toString('base64url'),
  });
  sealed.push({ key: INDEX, text: sealText(ring.current(), placeOf(sealing, INDEX), index) });
  return { changes: sealed, sum: next, elements: changed } satisfies Sealed;
}

/** With no changes, the index alone is written. */
async function write(sealing: Sealing, changes: readonly TextChange[]): Promise<void> {
  sealing.first = undefined;
  if (!sealing.index) await examine(sealing);
  const index = sealing.index ?? emptyIndex();
  const sealed = sealChanges(sealing, index, changes);
  try {
    await sealing.engine.write(sealed.changes);
  } catch (error) {
    // Over a network it may have been written all the same.
    if (!sealing.engine.isLocal) sealing.index = undefined;
    throw error;
  }
  for (const [key, element] of sealed.elements)
    if (element) index.elements.set(key, element);
    else index.elements.delete(key);
  sealing.index = { ...index, sum: sealed.sum };
}

async function reseal(sealing: Sealing): Promise<number> {
  const { engine, ring, turn } = sealing;
  const isOutdated = (text: string) => keyIdOf(text) !== ring.current().id;
  const keys = (await engine.list('/')).filter(([, text]) => isOutdated(text)).map(([key]) => key);
  let count = 0;
  for (let start = 0; start < keys.length; start += resealChunk) {
    const chunk = keys.slice(start, start + resealChunk);
    await turn(async () => {
      const changes: TextChange[] = [];
      for (const key of chunk) {
        // It may have been written or removed since. The index goes with every write.
        const text = key === INDEX ? undefined : await engine.read(key);
        if (text !== undefined && isOutdated(text)) changes.push({ key, text: open(sealing, key, text) });
      }
      await write(sealing, changes);
      count += changes.length;
    });
    await new Promise((resolve) => setImmediate(resolve));
  }
  return count;
}
