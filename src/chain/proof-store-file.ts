import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { ConfigurationError, messageOf } from '#base';
import { isDiskFull, openTrustedDatabase, writeFailure } from '#infrastructure';
import type { KeptProof, ProofStore, TrustPin } from './proof/index.ts';
import { formatPin, TrustAnchors } from './proof/trust-pin.ts';

/** At 3 to 25 kB each: up to 500 MB where a cluster has so many workers. */
const MOST_PROOFS = 20_000;

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS pinned (pin TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY AUTOINCREMENT, summary BLOB NOT NULL, signature BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS proofs (
    object TEXT PRIMARY KEY, version TEXT NOT NULL, proven_at_ms INTEGER NOT NULL, summary BLOB NOT NULL,
    signature BLOB NOT NULL, contents BLOB NOT NULL, digest TEXT NOT NULL, effects BLOB NOT NULL, events BLOB,
    bytes BLOB NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS proofs_by_age ON proofs (proven_at_ms);
`;

export interface ProofStoreOptions {
  readonly mostProofs?: number;
  /** Called with the first of several writes in a row that fail. */
  readonly onFailure?: (detail: string) => void;
}

/**
 * Committees and proofs in one sqlite file (mode 0600). It holds nothing that is secret, and nothing that cannot be had
 * again from a full node that has not pruned it.
 * @throws `DAAS_PROOF_STORE_DAMAGED` (exit 78), `DAAS_FILE_UNTRUSTED`.
 */
export function openProofStore(
  path: string,
  chainId: string,
  { mostProofs = MOST_PROOFS, onFailure }: ProofStoreOptions = {},
): ProofStore {
  const database = openDatabase(path, chainId);
  let failure: string | undefined;

  function write(body: () => void): void {
    try {
      database.exec('BEGIN IMMEDIATE');
      body();
      database.exec('COMMIT');
      failure = undefined;
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      const isFirst = failure === undefined;
      failure = messageOf(error);
      if (isFirst) onFailure?.(failure);
    }
  }
  const keepNote = (name: string, value: string) =>
    write(() => {
      database.prepare('INSERT OR REPLACE INTO notes VALUES (?, ?)').run(name, value);
    });

  return {
    steps: (pin) => stepsOf(database, pin),
    begin: (pin, pinned) =>
      write(() => {
        database.exec('DELETE FROM pinned; DELETE FROM steps');
        database.prepare('INSERT INTO pinned VALUES (?, ?)').run(formatPin(pin), pinned);
      }),
    addStep: ({ summary, signature }) =>
      write(() => {
        database.prepare('INSERT INTO steps (summary, signature) VALUES (?, ?)').run(summary, signature);
      }),
    proof: (objectId) => {
      const row = database.prepare('SELECT * FROM proofs WHERE object = ?').get(objectId);
      return row && keptProofOf(row);
    },
    keepProof: (objectId, kept) => write(() => keepProof(database, objectId, kept, mostProofs)),
    firstUse: () => firstUseOf(database),
    keepFirstUse: (anchors) => keepNote('first use', JSON.stringify(anchors)),
    fork: () => noteOf(database, 'fork'),
    keepFork: (evidence) => keepNote('fork', evidence),
    failure: () => failure,
    [Symbol.dispose]() {
      if (database.isOpen) database.close();
    },
  };
}

function noteOf(database: DatabaseSync, name: string): string | undefined {
  return database.prepare('SELECT value FROM notes WHERE name = ?').get(name)?.value as string | undefined;
}

/** What was believed at the first start without a trust pin. */
export function firstUseOf(database: DatabaseSync): TrustAnchors | undefined {
  const text = noteOf(database, 'first use');
  return text === undefined ? undefined : TrustAnchors.parse(JSON.parse(text));
}

/** What is kept of another chain says nothing about this one. */
function ownChain(database: DatabaseSync, chainId: string): void {
  const known = database.prepare("SELECT value FROM notes WHERE name = 'chain'").get()?.value;
  if (known === chainId) return;
  database.exec('DELETE FROM notes; DELETE FROM pinned; DELETE FROM steps; DELETE FROM proofs');
  database.prepare("INSERT INTO notes VALUES ('chain', ?)").run(chainId);
}

export function stepsOf(database: DatabaseSync, pin: TrustPin) {
  const row = database.prepare('SELECT bytes FROM pinned WHERE pin = ?').get(formatPin(pin));
  if (!row) return undefined;
  const steps = database.prepare('SELECT summary, signature FROM steps ORDER BY number').all();
  return {
    pinned: row.bytes as Uint8Array,
    steps: steps.map(({ summary, signature }) => ({
      summary: summary as Uint8Array,
      signature: signature as Uint8Array,
    })),
  };
}

export function keptProofOf(row: Record<string, SQLOutputValue>): KeptProof {
  const bytes = (name: string) => row[name] as Uint8Array;
  return {
    version: BigInt(String(row.version)),
    provenAtMs: Number(row.proven_at_ms),
    proof: {
      summary: bytes('summary'),
      signature: bytes('signature'),
      contents: bytes('contents'),
      transaction: String(row.digest),
      effects: bytes('effects'),
      ...(row.events !== null && { events: bytes('events') }),
      objects: [bytes('bytes')],
    },
  };
}

function keepProof(
  database: DatabaseSync,
  objectId: string,
  { version, provenAtMs, proof }: KeptProof,
  mostProofs: number,
): void {
  const [object] = proof.objects;
  const before = database.prepare('SELECT version FROM proofs WHERE object = ?').get(objectId);
  if (!object || (before && BigInt(String(before.version)) > version)) return;
  const { summary, signature, contents, transaction, effects, events } = proof;
  database
    .prepare('INSERT OR REPLACE INTO proofs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
    .run(
      objectId,
      String(version),
      provenAtMs,
      summary,
      signature,
      contents,
      transaction,
      effects,
      events ?? null,
      object,
    );
  const count = Number(database.prepare('SELECT count(*) AS count FROM proofs').get()?.count);
  if (count > mostProofs)
    database
      .prepare(
        'DELETE FROM proofs WHERE object IN (SELECT object FROM proofs ORDER BY proven_at_ms, rowid LIMIT ?)',
      )
      .run(count - mostProofs);
}

function openDatabase(path: string, chainId: string): DatabaseSync {
  const damaged = (cause: unknown) =>
    new ConfigurationError(
      'DAAS_PROOF_STORE_DAMAGED',
      `${path} is not a file of proofs, or it is damaged: move it away. Committees and proofs are then asked for again`,
      { cause, details: { path } },
    );
  const database = openTrustedDatabase(path, {
    what: 'the file of proofs',
    origin: 'stateDir',
    schema: SCHEMA,
    failure: damaged,
  });
  try {
    ownChain(database, chainId);
    return database;
  } catch (cause) {
    database.close();
    throw isDiskFull(cause) ? writeFailure(path, cause) : damaged(cause);
  }
}
