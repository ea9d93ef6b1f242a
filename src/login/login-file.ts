import { createPrivateKey, type KeyObject } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { ConfigurationError } from '#base';
import { readTrustedSync } from '#infrastructure';
import type { LoginSubject } from './sign-login.ts';

/**
 * What a login signs, in a file of its own beside the key: `k3s-daas stake --for user` writes it, `token rotate --login` brings
 * it up to date. Nothing in it is secret.
 */
export interface LoginFile extends LoginSubject {
  /** Of the chain that the cluster is on: its genesis, in base58. */
  readonly chainId: string;
  /** Absolute. */
  readonly keyFile: string;
}

const VERSION = 1;
const members = ['version', 'chainId', 'clusterId', 'wallet', 'sealTokenId', 'keyFile'] as const;
const objectId = /^0x[0-9a-f]{64}$/;

/** The text of a login file. */
export function loginFileText({ chainId, clusterId, wallet, sealTokenId, keyFile }: LoginFile): string {
  return `${JSON.stringify({ version: VERSION, chainId, clusterId, wallet, sealTokenId, keyFile }, null, 2)}\n`;
}

/**
 * Reads a login file. A relative `keyFile` is looked for beside it.
 * @throws `DAAS_LOGIN_FILE_UNREADABLE`, `DAAS_LOGIN_FILE_INVALID`, `DAAS_FILE_UNTRUSTED`.
 */
export function readLoginFile(path: string): LoginFile {
  const text = read(path, 'the login file', 'DAAS_LOGIN_FILE_UNREADABLE').toString('utf8');
  const found = parse(text);
  const problem = problemOf(found);
  if (problem !== undefined)
    throw new ConfigurationError(
      'DAAS_LOGIN_FILE_INVALID',
      `${path} is no login file (${problem}): \`k3s-daas stake --for user\` writes one, \`k3s-daas token rotate --login\` renews it`,
    );
  const file = found as unknown as LoginFile;
  return { ...file, keyFile: resolve(dirname(path), file.keyFile) };
}

/**
 * The private key of a login: PKCS #8 PEM, Ed25519, which nobody else may read.
 * @throws `DAAS_LOGIN_KEY_UNREADABLE`, `DAAS_LOGIN_KEY_INVALID`, `DAAS_NODE_KEY_EXPOSED`.
 */
export function readLoginKey(path: string): KeyObject {
  const pem = read(path, 'the key of the login', 'DAAS_LOGIN_KEY_UNREADABLE', 'DAAS_NODE_KEY_EXPOSED');
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(pem);
  } catch {
    // The cause could quote the key.
  }
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new ConfigurationError(
    'DAAS_LOGIN_KEY_INVALID',
    `${path} holds no Ed25519 key in PKCS #8 PEM: \`k3s-daas stake --for user --login FILE\` makes one`,
  );
}

type ReadCode = 'DAAS_LOGIN_FILE_UNREADABLE' | 'DAAS_LOGIN_KEY_UNREADABLE';

function read(path: string, what: string, code: ReadCode, exposedCode?: 'DAAS_NODE_KEY_EXPOSED'): Buffer {
  try {
    return readTrustedSync(path, { what, ...(exposedCode && { exposedCode }) });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    const why = (cause as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new ConfigurationError(
      code,
      `${what} ${path} cannot be read (${why}): check path, owner and mode`,
      {
        cause,
      },
    );
  }
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function problemOf(found: Readonly<Record<string, unknown>> | undefined): string | undefined {
  if (!found) return 'no JSON object';
  const unknown = Object.keys(found).find((name) => !(members as readonly string[]).includes(name));
  if (unknown !== undefined) return `it has the unknown member ${JSON.stringify(unknown)}`;
  if (found.version !== VERSION) return `its version is not ${VERSION}`;
  for (const name of ['clusterId', 'wallet', 'sealTokenId'])
    if (typeof found[name] !== 'string' || !objectId.test(found[name])) return `${name} is no id of Sui`;
  for (const name of ['chainId', 'keyFile'])
    if (typeof found[name] !== 'string' || found[name] === '') return `${name} is missing`;
  return undefined;
}
