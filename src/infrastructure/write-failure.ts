import { DaasError, messageOf } from '#base';

/** Whether a failure means a full disk, by the code of the operating system or of sqlite, at any depth of causes. */
export function isDiskFull(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code, errcode } = cause as { code?: unknown; errcode?: unknown };
    if (code === 'ENOSPC' || code === 'EDQUOT' || errcode === SQLITE_FULL) return true;
  }
  return false;
}
const SQLITE_FULL = 13;

/**
 * What the operating system says when a file cannot be written names neither the file nor what to do. A full disk may be
 * emptied while the program waits (`DAAS_DISK_FULL`, retryable); other reasons are `DAAS_FILE_UNWRITABLE`.
 */
export function writeFailure(path: string, cause: unknown): DaasError {
  const details = { path };
  if (isDiskFull(cause))
    return new DaasError(
      'DAAS_DISK_FULL',
      `${path} cannot be written: its file system is full, or a quota is used up (${messageOf(cause)}). Free space there`,
      { cause, details, isRetryable: true },
    );
  return new DaasError(
    'DAAS_FILE_UNWRITABLE',
    `${path} cannot be written (${messageOf(cause)}). Check the owner and mode of its directory, and that the file system is not read-only`,
    { cause, details },
  );
}
