import { createPrivateKey, type KeyObject } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { ConfigurationError, membersOf } from '#base';
import { readTrustedSync } from '#infrastructure';
import type { LoginSubject } from './sign-login.ts';

/** Where the private key of a login is. */
export type LoginKey =
  /** A file beside the login file, unless it was moved: PKCS #8 PEM, plain (mode 0600) or under a passphrase. Absolute. */
  | { readonly kind: 'file'; readonly file: string }
  /** An ssh-agent, or the keyring of the operating system. 32 bytes. */
  | { readonly kind: 'ssh-agent' | 'keyring'; readonly publicKey: Uint8Array };

/**
 * What a login signs, in a file of its own beside the key: `k3s-daas stake --for user` writes it, `token rotate --login` brings
 * it up to date. Nothing in it is secret.
 */
export interface LoginFile extends LoginSubject {
  /** Of the chain that the cluster is on: its genesis, in base58. */
  readonly chainId: string;
  readonly key: LoginKey;
}

/** Version 1 has `keyFile`, and stays for keys in files: versions of this program before 0.2 read it. Version 2 has `key`. */
const COMMON = ['version', 'chainId', 'clusterId', 'wallet', 'sealTokenId'] as const;
const HOLDERS = ['ssh-agent', 'keyring'] as const;
const objectId = /^0x[0-9a-f]{64}$/;

/** The text of a login file. */
export function loginFileText({ chainId, clusterId, wallet, sealTokenId, key }: LoginFile): string {
  const facts = { chainId, clusterId, wallet, sealTokenId };
  const value =
    key.kind === 'file'
      ? { version: 1, ...facts, keyFile: key.file }
      : { version: 2, ...facts, key: { kind: key.kind, publicKey: base64url(key.publicKey) } };
  return `${JSON.stringify(value, null, 2)}\n`;
}

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

/**
 * Reads a login file. A relative `keyFile` is looked for beside it.
 * @throws `DAAS_LOGIN_FILE_UNREADABLE`, `DAAS_LOGIN_FILE_INVALID`, `DAAS_FILE_UNTRUSTED`.
 */
export function readLoginFile(path: string): LoginFile {
  const text = read(path, 'the login file', 'DAAS_LOGIN_FILE_UNREADABLE').toString('utf8');
  const found = parse(text);
  const problem = problemOf(found);
  if (!found || problem !== undefined)
    throw new ConfigurationError(
      'DAAS_LOGIN_FILE_INVALID',
      `${path} is no login file (${problem}): \`k3s-daas stake --for user\` writes one, \`k3s-daas token rotate --login\` renews it`,
    );
  const { chainId, clusterId, wallet, sealTokenId } = found as unknown as LoginFile;
  return { chainId, clusterId, wallet, sealTokenId, key: keyOf(found, dirname(path)) };
}

function keyOf({ keyFile, key }: Readonly<Record<string, unknown>>, directory: string): LoginKey {
  if (typeof keyFile === 'string') return { kind: 'file', file: resolve(directory, keyFile) };
  const { kind, publicKey } = key as { kind: 'ssh-agent' | 'keyring'; publicKey: string };
  return { kind, publicKey: new Uint8Array(Buffer.from(publicKey, 'base64url')) };
}

/** The text of the key file of a login, which nobody else may read. */
export function readLoginKeyText(path: string): string {
  return read(path, 'the key of the login', 'DAAS_LOGIN_KEY_UNREADABLE', 'DAAS_NODE_KEY_EXPOSED').toString(
    'latin1',
  );
}

/** Whether the text of a key file is a key under a passphrase. */
export const isEncrypted = (pem: string): boolean => pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----');

/**
 * The private key in the text of a key file without a passphrase: PKCS #8 PEM, Ed25519.
 * @throws `DAAS_LOGIN_KEY_INVALID`.
 */
export function parseLoginKey(pem: string, path: string): KeyObject {
  try {
    return ed25519(createPrivateKey(pem), path);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    // The cause could quote the key.
    throw invalidKey(path, pem);
  }
}

/** @throws `DAAS_LOGIN_KEY_INVALID` for a key of another kind. */
export function ed25519(key: KeyObject, path: string): KeyObject {
  if (key.asymmetricKeyType === 'ed25519') return key;
  throw invalidKey(path, '');
}

function invalidKey(path: string, pem: string): ConfigurationError {
  const fix = pem.includes('BEGIN OPENSSH PRIVATE KEY')
    ? 'it is a key of OpenSSH: load it into an ssh-agent (ssh-add), and pass --login-key ssh-agent'
    : '`k3s-daas stake --for user --login FILE` makes one';
  return new ConfigurationError(
    'DAAS_LOGIN_KEY_INVALID',
    `${path} holds no Ed25519 key in PKCS #8 PEM: ${fix}`,
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
  const { version } = found;
  if (version !== 1 && version !== 2) return 'its version is not 1 or 2';
  const last = version === 1 ? 'keyFile' : 'key';
  const known: readonly string[] = [...COMMON, last];
  const unknown = Object.keys(found).find((name) => !known.includes(name));
  if (unknown !== undefined) return `it has the unknown member ${JSON.stringify(unknown)}`;
  for (const name of ['clusterId', 'wallet', 'sealTokenId'])
    if (typeof found[name] !== 'string' || !objectId.test(found[name])) return `${name} is no id of Sui`;
  if (typeof found.chainId !== 'string' || found.chainId === '') return 'chainId is missing';
  return version === 1 ? keyFileProblem(found.keyFile) : keyProblem(found.key);
}

const keyFileProblem = (keyFile: unknown) =>
  typeof keyFile === 'string' && keyFile !== '' ? undefined : 'keyFile is missing';

function keyProblem(key: unknown): string | undefined {
  const { kind, publicKey } = membersOf(key);
  if (!(HOLDERS as readonly unknown[]).includes(kind)) return `key.kind is none of ${HOLDERS.join(', ')}`;
  return typeof publicKey === 'string' && /^[A-Za-z0-9_-]{43}$/.test(publicKey)
    ? undefined
    : 'key.publicKey is no Ed25519 key in base64url';
}
