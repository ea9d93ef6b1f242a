import { lstat } from 'node:fs/promises';
import { ConfigurationError, messageOf } from '#base';
import { readBounded, replaceFile } from '#infrastructure';

/** Evidence with all its collateral in base64 has a few hundred kilobytes. */
const LONGEST_BYTES = 16 * 1024 * 1024;

/** @throws ConfigurationError `DAAS_TEE_FILE_UNREADABLE` */
export async function readTeeFile(file: string, what: string): Promise<Buffer> {
  try {
    return await readBounded(file, LONGEST_BYTES);
  } catch (cause) {
    throw unusable(file, `${what} cannot be read`, cause);
  }
}

/**
 * Whole or not at all: half a file of evidence or collateral is none.
 * @throws `DAAS_TEE_FILE_UNREADABLE` for what would be replaced by the file: a link, a device; and as `replaceFile`
 */
export async function writeTeeFile(file: string, text: string, what: string): Promise<void> {
  const there = await lstat(file).catch(() => undefined);
  if (there && !there.isFile())
    throw unusable(file, `${what} cannot be written`, new Error('it is no regular file'));
  await replaceFile(file, text, 0o644);
}

export function unusable(file: string, what: string, cause: unknown): ConfigurationError {
  return new ConfigurationError('DAAS_TEE_FILE_UNREADABLE', `${what}: ${file} (${messageOf(cause)})`, {
    cause,
    details: { file },
  });
}
