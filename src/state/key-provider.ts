import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ConfigurationError, messageOf, Secret } from '#base';
import { askProgram } from '#infrastructure';
import { type DerivedKeySource, derivedKeys } from './derived-keys.ts';
import { invalid, KEY_BYTES, KEYS_SETTING, parseKeys, readKeyFile, rotationOf } from './key-lines.ts';
import { type KmsKeySource, kmsKeys } from './kms-keys.ts';

/** Where the keys are read from: exactly one of them. */
export interface KeySource {
  /** A file of mode 0600. */
  readonly file?: string | undefined;
  /** A program with its arguments that prints them. */
  readonly command?: readonly string[] | undefined;
  /** A credential that systemd hands to the unit: `LoadCredentialEncrypted=`. */
  readonly credential?: string | undefined;
  /** The chip derives them for this guest of SEV-SNP. */
  readonly snp?: DerivedKeySource | undefined;
  /** They are kept encrypted, and AWS KMS opens them for this enclave. */
  readonly kms?: KmsKeySource | undefined;
}

/** Makes the keys of a state available: one for each member of `KeySource`. */
export interface KeyProvider {
  /** How often a running gateway asks for the keys: a program may be slow. */
  readonly refreshEveryMs: number;
  /**
   * Lines `<id> <32 bytes in base64url>`, the newest key first.
   * @throws `DAAS_STATE_KEYS_INVALID`, `DAAS_STATE_KEYS_EXPOSED`, `DAAS_FILE_UNTRUSTED`
   */
  read(): Promise<Secret>;
  /** `undefined`: a new key is made elsewhere. */
  readonly rotation?: KeyRotation | undefined;
}

/** How a provider gets a new key. */
export interface KeyRotation {
  /** The file that changes. */
  readonly file: string;
  /** Puts a key before the others; with `isDryRun` it changes nothing. @returns the ids, the new one first */
  add(nowMs: number, isDryRun: boolean): Promise<readonly string[]>;
}

const FILE_EVERY_MS = 10_000;
const PROGRAM_EVERY_MS = 60_000;
const commandTimeoutMs = 10_000;

/** @throws `DAAS_STATE_KEYS_INVALID` for a source that names nothing. */
export function keyProvider({ file, command, credential, snp, kms }: KeySource): KeyProvider {
  if (command) return { refreshEveryMs: PROGRAM_EVERY_MS, read: () => askForKeys(command) };
  if (snp) return derivedKeys(snp, PROGRAM_EVERY_MS);
  if (kms) return kmsKeys(kms, PROGRAM_EVERY_MS);
  if (credential !== undefined)
    return { refreshEveryMs: FILE_EVERY_MS, read: () => readKeys(credentialPath(credential)) };
  if (file === undefined) throw invalid('none of file, command, credential, snp and kms is set');
  return {
    refreshEveryMs: FILE_EVERY_MS,
    read: () => readKeys(file),
    rotation: rotationOf(file, {
      idsIn: (text) => parseKeys(new Secret(text)).map(({ id }) => id),
      valueFor: () => randomBytes(KEY_BYTES).toString('base64url'),
    }),
  };
}

const readKeys = async (path: string): Promise<Secret> => new Secret(await readKeyFile(path));

function credentialPath(name: string): string {
  const directory = process.env.CREDENTIALS_DIRECTORY;
  if (directory !== undefined) return join(directory, name);
  throw invalid(
    `the credential ${name} is there only for a unit of systemd that names it (LoadCredentialEncrypted=)`,
  );
}

async function askForKeys([program = '', ...rest]: readonly string[]): Promise<Secret> {
  try {
    const call = { program, arguments: rest, timeoutMs: commandTimeoutMs, origin: KEYS_SETTING };
    return new Secret((await askProgram(call)).toString('utf8'));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalid(`${program}: ${messageOf(cause)}`, cause);
  }
}
