import { createSecretKey, randomBytes } from 'node:crypto';
import { ConfigurationError, messageOf, type Secret } from '#base';
import { readTrustedText, replaceFile } from '#infrastructure';
import type { SealingKey } from './envelope.ts';
import type { KeyRotation } from './key-provider.ts';

/** Where the keys are configured, for messages. */
export const KEYS_SETTING = 'gateway.state.keys';
export const KEY_BYTES = 32;

/** Lines that count: not empty ones, and not those that begin with #. Each in its words. */
export function linesOf(text: string): ReadonlyArray<readonly string[]> {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/\s+/));
}

/**
 * One key a line: `<id> <32 bytes in base64url>`.
 * @throws `DAAS_STATE_KEYS_INVALID`, without a value of it: a line with a mistake may hold a key
 */
export function parseKeys(text: Secret): readonly SealingKey[] {
  return linesOf(text.reveal()).map(([id = '', encoded = '', ...rest], index) => {
    const bytes = Buffer.from(encoded, 'base64url');
    if (!isKeyId(id) || bytes.length !== KEY_BYTES || rest.length > 0)
      throw invalid(`key ${index + 1} is not '<id> <32 bytes in base64url>'`);
    return { id, key: createSecretKey(bytes) };
  });
}

export const isKeyId = (text: string): boolean => /^[a-z0-9][a-z0-9-]{0,31}$/.test(text);

export function invalid(why: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_STATE_KEYS_INVALID',
    `the keys of ${KEYS_SETTING} cannot be used: ${why}. 'k3s-daas gateway state rotate-key' makes a key in a file`,
    { ...(cause !== undefined && { cause }) },
  );
}

/** An id for a new key: the day, and what tells two of a day apart. */
function newKeyId(nowMs: number): string {
  const day = new Date(nowMs).toISOString().slice(0, 10).replaceAll('-', '');
  return `${day}-${randomBytes(3).toString('hex')}`;
}

/**
 * A file of lines that begin with the id of a key.
 * @throws `DAAS_STATE_KEYS_INVALID`, `DAAS_STATE_KEYS_EXPOSED`, `DAAS_FILE_UNTRUSTED`
 */
export async function readKeyFile(path: string): Promise<string> {
  try {
    return await readLines(path);
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalid(`${path} cannot be read (${messageOf(cause)})`, cause);
  }
}

const readLines = (path: string): Promise<string> =>
  readTrustedText(path, {
    what: 'the keys of the state',
    origin: KEYS_SETTING,
    exposedCode: 'DAAS_STATE_KEYS_EXPOSED',
  });

/** What is to know of the lines of a file, to put a key before those in it. */
export interface KeyLines {
  /** The ids in the text of the file, in their order. */
  readonly idsIn: (text: string) => readonly string[];
  /** What stands behind the id of a new key that comes before these lines. */
  readonly valueFor: (id: string, text: string) => string | Promise<string>;
}

/** New keys of a file, which is made if there is none. */
export const rotationOf = (file: string, { idsIn, valueFor }: KeyLines): KeyRotation => ({
  file,
  async add(nowMs, isDryRun) {
    const before = await readLines(file).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    });
    const id = newKeyId(nowMs);
    const ids = [id, ...idsIn(before)];
    if (!isDryRun) await replaceFile(file, `${id} ${await valueFor(id, before)}\n${before}`, 0o600);
    return ids;
  },
});
