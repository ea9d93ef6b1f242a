import { lstat } from 'node:fs/promises';
import { ConfigurationError, DaasError, messageOf } from '#base';
import { readBounded, readTrustedText, replaceFile, type TrustRules } from '#infrastructure';

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

/** A file that decides what this machine does. @throws `DAAS_FILE_UNTRUSTED`; `DAAS_TEE_FILE_UNREADABLE` */
export async function readTrustedTeeFile(file: string, rules: TrustRules): Promise<string> {
  try {
    return await readTrustedText(file, rules);
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw unusable(file, `${rules.what} cannot be read`, cause);
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

function unusable(file: string, what: string, cause: unknown): ConfigurationError {
  return new ConfigurationError('DAAS_TEE_FILE_UNREADABLE', `${what}: ${file} (${messageOf(cause)})`, {
    cause,
    details: { file },
  });
}
