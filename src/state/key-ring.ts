import { createSecretKey, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ConfigurationError, messageOf, Secret } from '#base';
import { askProgram, readTrustedText, replaceFile } from '#infrastructure';
import type { SealingKey } from './envelope.ts';

/** Where the keys are read from: exactly one of them. */
export interface KeySource {
  /** A file of mode 0600. */
  readonly file?: string | undefined;
  /** A program with its arguments that prints them. */
  readonly command?: readonly string[] | undefined;
  /** A credential that systemd hands to the unit: `LoadCredentialEncrypted=`. */
  readonly credential?: string | undefined;
}

/** The keys of sealed values: the first seals, all open. */
export interface KeyRing {
  current(): SealingKey;
  find(id: string): SealingKey | undefined;
  ids(): readonly string[];
  /**
   * Reads the keys again.
   * @returns whether another key seals from now on.
   * @throws as `openKeyRing`; the keys stay as they were.
   */
  refresh(): Promise<boolean>;
}

const origin = 'gateway.state.keys';
const keyBytes = 32;
const commandTimeoutMs = 10_000;

/** @throws `DAAS_STATE_KEYS_INVALID`, `DAAS_STATE_KEYS_EXPOSED`, `DAAS_FILE_UNTRUSTED`. */
export async function openKeyRing(source: KeySource): Promise<KeyRing> {
  let keys = parseKeys(await textOf(source));
  return {
    current: () => keys[0],
    find: (id) => keys.find((key) => key.id === id),
    ids: () => keys.map(({ id }) => id),
    async refresh() {
      const before = keys[0].id;
      keys = parseKeys(await textOf(source));
      return keys[0].id !== before;
    },
  };
}

type Keys = readonly [SealingKey, ...SealingKey[]];

/** One key a line: `<id> <32 bytes in base64url>`; empty lines and those that begin with # do not count. */
function parseKeys(text: Secret): Keys {
  const lines = text
    .reveal()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const [first, ...others] = lines.map(parseKey);
  if (!first) throw invalid('it names no key');
  const ids = lines.map((line) => line.split(/\s+/)[0]);
  if (new Set(ids).size < ids.length) throw invalid('two keys have the same id');
  return [first, ...others];
}

function parseKey(line: string, index: number): SealingKey {
  const [id = '', encoded = '', ...rest] = line.split(/\s+/);
  const bytes = Buffer.from(encoded, 'base64url');
  if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(id) || bytes.length !== keyBytes || rest.length > 0)
    throw invalid(`key ${index + 1} is not '<id> <32 bytes in base64url>'`);
  return { id, key: createSecretKey(bytes) };
}

/** Without a value of it: a line with a mistake may hold a key. */
function invalid(why: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_STATE_KEYS_INVALID',
    `the keys of ${origin} cannot be used: ${why}. 'k3s-daas gateway state rotate-key' makes a key in a file`,
    { ...(cause !== undefined && { cause }) },
  );
}

async function textOf(source: KeySource): Promise<Secret> {
  const { command, credential } = source;
  if (command) return new Secret(await askForKeys(command));
  const path = credential === undefined ? source.file : credentialPath(credential);
  if (path === undefined) throw invalid('none of file, command and credential is set');
  try {
    return new Secret(
      await readTrustedText(path, {
        what: 'the keys of the state',
        origin,
        exposedCode: 'DAAS_STATE_KEYS_EXPOSED',
      }),
    );
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalid(`${path} cannot be read (${messageOf(cause)})`, cause);
  }
}

function credentialPath(name: string): string {
  const directory = process.env.CREDENTIALS_DIRECTORY;
  if (directory !== undefined) return join(directory, name);
  throw invalid(
    `the credential ${name} is there only for a unit of systemd that names it (LoadCredentialEncrypted=)`,
  );
}

async function askForKeys([program = '', ...rest]: readonly string[]): Promise<string> {
  try {
    const call = { program, arguments: rest, timeoutMs: commandTimeoutMs, origin };
    return (await askProgram(call)).toString('utf8');
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalid(`${program}: ${messageOf(cause)}`, cause);
  }
}

/**
 * Puts a new key before those of the file, which it makes if there is none.
 * @returns the ids, the new one first.
 */
export async function addKey(
  path: string,
  nowMs: number,
  { isDryRun = false }: { readonly isDryRun?: boolean } = {},
): Promise<readonly string[]> {
  const before = await readTrustedText(path, {
    what: 'the keys of the state',
    origin,
    exposedCode: 'DAAS_STATE_KEYS_EXPOSED',
  }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  });
  const earlier = before.trim() === '' ? [] : parseKeys(new Secret(before)).map(({ id }) => id);
  const day = new Date(nowMs).toISOString().slice(0, 10).replaceAll('-', '');
  const id = `${day}-${randomBytes(3).toString('hex')}`;
  const line = `${id} ${randomBytes(keyBytes).toString('base64url')}\n`;
  if (!isDryRun) await replaceFile(path, line + before, 0o600);
  return [id, ...earlier];
}
