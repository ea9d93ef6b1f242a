import type { DatabaseSync } from 'node:sqlite';
import { aborted, ConfigurationError, DaasError, nextTurn } from '#base';
import type { StateEngine, StateRecord, TextChange } from '#domain';
import { openTrustedDatabase } from '#infrastructure';

/** Rows that a list reads without a pause. */
const pageRows = 500;

/**
 * One sqlite file (mode 0600) in write-ahead mode, locked exclusively: a second gateway on the same file would decide on
 * outdated state.
 * @throws `DAAS_GATEWAY_STORE_BUSY`, `DAAS_GATEWAY_STORE_DAMAGED`.
 */
export function openSqliteEngine(path: string): StateEngine {
  const database = openDatabase(path);
  const select = database.prepare('SELECT value FROM records WHERE key = ?');
  const selectPage = (start: '>=' | '>') =>
    database.prepare(
      `SELECT key, value FROM records WHERE key ${start} ? AND key < ? ORDER BY key LIMIT ${pageRows}`,
    );
  const [selectFrom, selectAfter] = [selectPage('>='), selectPage('>')];
  /** Writes wait for it: a list is as of one moment. */
  let listing: Promise<unknown> | undefined;
  const upsert = database.prepare(
    'INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const remove = database.prepare('DELETE FROM records WHERE key = ?');

  function writeAll(changes: readonly TextChange[]): void {
    database.exec('BEGIN IMMEDIATE');
    for (const { key, text } of changes)
      if (text === undefined) remove.run(key);
      else upsert.run(key, text);
    database.exec('COMMIT');
  }

  async function readPages(prefix: string): Promise<readonly StateRecord[]> {
    const found: StateRecord[] = [];
    // Keys are ASCII: 0x7f is greater than every character in them.
    const end = `${prefix}\u007f`;
    let page = selectFrom.all(prefix, end);
    for (;;) {
      for (const { key, value } of page) found.push([String(key), String(value)]);
      const last = found.at(-1);
      if (page.length < pageRows || last === undefined) return found;
      await nextTurn();
      page = selectAfter.all(last[0], end);
    }
  }

  return {
    kind: 'sqlite',
    mostChanges: Number.POSITIVE_INFINITY,
    isLocal: true,
    async read(key) {
      const row = select.get(key);
      return row === undefined ? undefined : String(row.value);
    },
    async list(prefix) {
      while (listing) await listing;
      const reading = readPages(prefix);
      listing = reading.catch(() => undefined);
      try {
        return await reading;
      } finally {
        listing = undefined;
      }
    },
    async write(changes) {
      if (changes.length === 0) return;
      while (listing) await listing;
      try {
        writeAll(changes);
      } catch (cause) {
        if (database.isOpen && database.isTransaction) database.exec('ROLLBACK');
        throw new DaasError('DAAS_GATEWAY_STORE_FAILED', `the state file ${path} cannot be written`, {
          cause,
        });
      }
    },
    // The lock keeps everybody else out.
    follow: (_listener, signal) => aborted(signal),
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
    `${path} is not a state file of the gateway, or it is damaged: restore it from a backup, or move it away and run 'k3s-daas gateway state restore --empty' (nodes then have to register again)`,
    { cause },
  );
}
