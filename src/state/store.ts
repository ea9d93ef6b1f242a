import { ConfigurationError, DaasError, inSlices } from '#base';
import type { StateEngine, StateNews, StateRecord, TextChange } from '#domain';

/**
 * The gateway's state: JSON values under keys such as `/workers/<node_id>`. A `write` is one transaction as far as the
 * engine takes that many changes at once, and durable when it resolves.
 */
export interface Store extends AsyncDisposable {
  /** Heartbeats may be kept in it. */
  readonly isLocal: boolean;
  read(key: string): Promise<unknown>;
  /** Everything whose key has this prefix, in the order of the keys. */
  list(prefix: string): Promise<readonly StoredRecord[]>;
  /** `value: undefined` removes. */
  write(changes: readonly Change[]): Promise<void>;
  /** As `StateEngine.follow`. */
  follow(listener: (news: StoreNews) => void, signal: AbortSignal): Promise<void>;
}

export type StoredRecord = readonly [key: string, value: unknown];

export interface Change {
  readonly key: string;
  readonly value: unknown;
}

export type StoreNews =
  | { readonly kind: 'listed'; readonly records: readonly StoredRecord[] }
  | { readonly kind: 'changed'; readonly changes: readonly Change[] };

export function createStore(engine: StateEngine): Store {
  return {
    isLocal: engine.isLocal,
    async read(key) {
      const text = await engine.read(key);
      return text === undefined ? undefined : parseValue(key, text);
    },
    async list(prefix) {
      const parsed: StoredRecord[] = [];
      await inSlices(await engine.list(prefix), (record) => void parsed.push(parseRecord(record)));
      return parsed;
    },
    async write(changes) {
      const texts = changes.map(textOf);
      // A decision has a few changes: only figures, and what was owed for long, are ever more than an engine takes.
      for (let start = 0; start < texts.length; start += engine.mostChanges)
        await engine.write(texts.slice(start, start + engine.mostChanges));
    },
    follow: (listener, signal) => engine.follow((news) => listener(parseNews(news)), signal),
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

function textOf({ key, value }: Change): TextChange {
  try {
    return { key, text: value === undefined ? undefined : JSON.stringify(value) };
  } catch (cause) {
    throw new DaasError('DAAS_GATEWAY_STORE_FAILED', `the state record ${key} cannot be written as JSON`, {
      cause,
    });
  }
}

const parseRecord = ([key, text]: StateRecord): StoredRecord => [key, parseValue(key, text)];

function parseNews(news: StateNews): StoreNews {
  if (news.kind === 'listed') return { kind: 'listed', records: news.records.map(parseRecord) };
  const value = ({ key, text }: TextChange) => (text === undefined ? undefined : parseValue(key, text));
  return { kind: 'changed', changes: news.changes.map((one) => ({ key: one.key, value: value(one) })) };
}

function parseValue(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_GATEWAY_STORE_DAMAGED',
      `the state record ${key} is not JSON: restore the state from a backup`,
      { cause },
    );
  }
}
