import { basename, join } from 'node:path';
import { z } from 'zod';
import { ConfigurationError } from '#base';
import { type FileFact, type Machine, readTrustedFile } from './machine.ts';

/** What an installation found and replaced: the way back to plain k3s. Written before anything is changed. */
export const RECORD_DIR = '/var/lib/k3s-daas-install';

export type Role = 'worker' | 'gateway';

/** Files of the directory itself: what is put back runs as root. */
const copyForm = new RegExp(`^${RECORD_DIR}/[^/]+$`);

const InstallRecord = z.strictObject({
  version: z.literal(1),
  role: z.enum(['worker', 'gateway']),
  /** In the order in which they were replaced. `copy` is null when there was no such file. */
  replaced: z.array(
    z.strictObject({
      path: z.string().startsWith('/'),
      copy: z.string().regex(copyForm).nullable(),
      mode: z.int(),
      uid: z.int(),
      gid: z.int(),
    }),
  ),
  /** The unit of plain k3s whose place was taken. */
  takenOver: z.strictObject({ wasActive: z.boolean(), wasEnabled: z.boolean() }).nullable(),
  /** An installation that was begun and has not ended: files alone do not show whether the service runs with them. */
  pending: z.enum(['take-over', 'change']).nullable().default(null),
});
export type InstallRecord = z.infer<typeof InstallRecord>;

export const recordPath = (role: Role): string => join(RECORD_DIR, `${role}.json`);

/** Throws `DAAS_INSTALL_RECORD_DAMAGED`: nothing is taken away by a list that is not whole. */
export async function readRecord(machine: Machine, role: Role): Promise<InstallRecord | undefined> {
  const path = recordPath(role);
  const text = await readTrustedFile(machine, path, 'the record of the installation');
  if (text === undefined) return undefined;
  try {
    return InstallRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw damaged(path, 'it is not the record of an installation of this version', cause);
  }
}

export function formatRecord(record: InstallRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** The record with what `path` was before; what an earlier installation noted of it stays. */
export function withReplaced(
  record: InstallRecord,
  path: string,
  before: FileFact | undefined,
): InstallRecord {
  if (record.replaced.some((one) => one.path === path)) return record;
  const entry = before
    ? { path, copy: copyPath(record, path), mode: before.mode, uid: before.uid, gid: before.gid }
    : { path, copy: null, mode: 0, uid: 0, gid: 0 };
  return { ...record, replaced: [...record.replaced, entry] };
}

function copyPath({ role, replaced }: InstallRecord, path: string): string {
  return join(RECORD_DIR, `${role}-${replaced.length}-${basename(path)}`);
}

export function damaged(path: string, why: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_INSTALL_RECORD_DAMAGED',
    `the record of the installation cannot be used, ${path}: ${why}. Restore it from a backup, or put the files back by hand`,
    { cause, details: { path } },
  );
}
