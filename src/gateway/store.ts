import type { DatabaseSync } from 'node:sqlite';
import { ConfigurationError, DaasError } from '#base';
import { openTrustedDatabase } from '#infrastructure';

/**
 * The gateway's state: JSON values under keys such as `/workers/<node_id>`. A `write` is one transaction, and durable when
 * it resolves.
 */
export interface Store extends AsyncDisposable {
  read(key: string): Promise<unknown>;
  /** Everything whose key has this prefix, in the order of the keys. */
  list(prefix: string): Promise<ReadonlyArray<readonly [key: string, value: unknown]>>;
  /** `value: undefined` removes. */
  write(changes: readonly Change[]): Promise<void>;
}
export interface Change {
  readonly key: string;
  readonly value: unknown;
}

/**
 * One sqlite file (mode 0600) in write-ahead mode, locked exclusively: a second gateway on the same file would decide on
 * outdated state.
 * @throws `DAAS_GATEWAY_STORE_BUSY`, `DAAS_GATEWAY_STORE_DAMAGED`.
 */
export function openSqliteStore(path: string): Store {
  const database = openDatabase(path);
  const select = database.prepare('SELECT value FROM records WHERE key = ?');
  // Keys are ASCII: 0x7f is greater than every character in them.
  const selectPrefix = database.prepare(
    'SELECT key, value FROM records WHERE key >= ? AND key < ? ORDER BY key',
  );
  const upsert = database.prepare(
    'INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const remove = database.prepare('DELETE FROM records WHERE key = ?');

  return {
    async read(key) {
      const row = select.get(key);
      return row === undefined ? undefined : parseValue(key, row.value);
    },
    async list(prefix) {
      return selectPrefix
        .all(prefix, `${prefix}\u007f`)
        .map((row) => [String(row.key), parseValue(String(row.key), row.value)] as const);
    },
    async write(changes) {
      if (changes.length === 0) return;
      database.exec('BEGIN IMMEDIATE');
      try {
        for (const { key, value } of changes)
          if (value === undefined) remove.run(key);
          else upsert.run(key, JSON.stringify(value));
        database.exec('COMMIT');
      } catch (cause) {
        if (database.isTransaction) database.exec('ROLLBACK');
        throw new DaasError('DAAS_GATEWAY_STORE_FAILED', `the state file ${path} cannot be written`, {
          cause,
        });
      }
    },
    async [Symbol.asyncDispose]() {
      if (database.isOpen) database.close();
    },
  };
}

const SCHEMA = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

function openDatabase(path: string): DatabaseSync {
  return openTrustedDatabase(path, {
    what: 'the state file',
    origin: 'gateway.stateDir',
    schema: SCHEMA,
    failure: (cause) => failureToOpen(path, cause),
  });
}

function failureToOpen(path: string, cause: unknown): Error {
  if (cause instanceof Error && /locked|busy/i.test(cause.message))
    return new DaasError(
      'DAAS_GATEWAY_STORE_BUSY',
      `the state file ${path} is in use by another gateway: stop that gateway, or give this one its own stateDir`,
      { cause },
    );
  return new ConfigurationError(
    'DAAS_GATEWAY_STORE_DAMAGED',
    `${path} is not a state file of the gateway, or it is damaged: restore it from a backup, or move it away (nodes then have to register again)`,
    { cause },
  );
}

function parseValue(key: string, text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_GATEWAY_STORE_DAMAGED',
      `the state record ${key} is not JSON: restore the state file from a backup`,
      { cause },
    );
  }
}
