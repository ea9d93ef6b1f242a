import { closeSync, constants, fchmodSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { makeTrustedDirectory, openTrustedSync, type TrustRules } from './trusted-file.ts';
import { isDiskFull, writeFailure } from './write-failure.ts';

export interface DatabaseRules extends TrustRules {
  /** Run in it when it is opened. */
  readonly schema: string;
  /** The error for what sqlite says, a full disk aside. */
  readonly failure: (cause: unknown) => Error;
}

/**
 * Opens a sqlite file of mode 0600, in a directory where others cannot write.
 * @throws as `openTrustedSync`, `DAAS_DISK_FULL`, and `failure`
 */
export function openTrustedDatabase(path: string, rules: DatabaseRules): DatabaseSync {
  makeTrustedDirectory(dirname(path), rules);
  // sqlite would create it with the mode of the umask. Its -wal file takes the mode of the main file.
  const file = openTrustedSync(path, rules, constants.O_RDWR | constants.O_CREAT);
  try {
    fchmodSync(file, 0o600);
  } finally {
    closeSync(file);
  }
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 500 });
    database.exec(rules.schema);
    return database;
  } catch (cause) {
    database?.close();
    throw isDiskFull(cause) ? writeFailure(path, cause) : rules.failure(cause);
  }
}
