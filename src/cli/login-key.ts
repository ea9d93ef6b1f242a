import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { ConfigurationError } from '#base';
import { addressOfKey } from '#chain';
import { makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';
import { type LoginKey, loadLoginKeys } from '#login';
import { openNodeKey } from '#seal';
import { readHolderKey } from './holder-key.ts';
import { existingLogin } from './login-files.ts';

const LOGIN_KEYS = ['file', 'encrypted', 'keyring', 'ssh-agent'] as const;

export interface LoginKeyOptions {
  readonly loginKey?: (typeof LOGIN_KEYS)[number];
  readonly sshKey?: string;
}

/** A key of a login: its public half, and where the private one is. */
export interface MadeLoginKey {
  readonly publicKey: Uint8Array;
  readonly key: LoginKey;
}

export function withLoginKey<C extends Command>(command: C): C {
  return command
    .addOption(
      new Option(
        '--login-key <where>',
        'for people: where the key of the login is kept: a file (0600, unless given), a file under a passphrase, the keyring of this machine, or your ssh-agent',
      ).choices([...LOGIN_KEYS]),
    )
    .option('--ssh-key <file>', 'with --login-key ssh-agent: which Ed25519 key, by its .pub file') as C;
}

/** Where the key file of a new login goes: absolute, since a login file's relative path begins at its own directory. */
export const keyFileBeside = (loginFile: string) =>
  resolve(dirname(loginFile), `${basename(loginFile).replace(/\.json$/, '')}.key`);

/**
 * The key of a login: the one in force, or the one that `--login-key` asks for, which is made if there is none. A dry run makes
 * nothing, and any key serves it.
 */
export async function keyOfLogin(
  loginFile: string,
  options: LoginKeyOptions,
  isDryRun: boolean,
): Promise<MadeLoginKey> {
  judgeSshKey(options);
  const inForce = existingLogin(loginFile)?.key;
  const kind = options.loginKey;
  if (inForce && inForce.kind !== 'file' && (kind === undefined || kind === inForce.kind))
    return { publicKey: inForce.publicKey, key: inForce };
  const file = inForce?.kind === 'file' ? inForce.file : keyFileBeside(loginFile);
  return makeLoginKey({
    kind: kind ?? 'file',
    file,
    sshKey: options.sshKey,
    isDryRun,
    pointer: pointerOf(loginFile),
  });
}

/** The key to which a login is rotated, other than `before` in a keyring; `undefined`: the key stays. */
export async function nextKeyOf(
  loginFile: string | undefined,
  options: LoginKeyOptions & { readonly newKeyFile?: string; readonly dryRun?: boolean },
  before: Uint8Array,
): Promise<MadeLoginKey | undefined> {
  judgeSshKey(options);
  const { loginKey, sshKey, newKeyFile, dryRun } = options;
  const isFile = loginKey === undefined || loginKey === 'file' || loginKey === 'encrypted';
  if (!isFile && newKeyFile !== undefined)
    throw conflict('--new-key-file names a file, and --login-key none');
  if (isFile && loginKey !== undefined && newKeyFile === undefined)
    throw conflict(`--login-key ${loginKey} needs a file for the new key: name it with --new-key-file`);
  if (loginKey !== undefined && loginFile === undefined)
    throw conflict('--login-key is about a login: name its file with --login');
  if (loginKey === undefined && newKeyFile === undefined) return undefined;
  const file = resolve(newKeyFile ?? '');
  return makeLoginKey({
    kind: loginKey ?? 'file',
    file,
    sshKey,
    isDryRun: dryRun === true,
    pointer: pointerOf(loginFile ?? ''),
    before,
  });
}

/** The login would get, or keep, another key than the one that was named. */
function judgeSshKey({ loginKey, sshKey }: LoginKeyOptions): void {
  if (sshKey !== undefined && loginKey !== 'ssh-agent')
    throw conflict('--ssh-key names a key of an ssh-agent: add --login-key ssh-agent, or leave it out');
}

interface KeyRequest {
  readonly kind: (typeof LOGIN_KEYS)[number];
  readonly file: string;
  readonly sshKey: string | undefined;
  readonly isDryRun: boolean;
  readonly pointer: string;
  /** A key that is to be replaced. */
  readonly before?: Uint8Array;
}

async function makeLoginKey(request: KeyRequest): Promise<MadeLoginKey> {
  const { kind, file, isDryRun } = request;
  switch (kind) {
    case 'file':
      return { publicKey: await plainKey(file, isDryRun), key: { kind: 'file', file } };
    case 'encrypted':
      return { publicKey: await encryptedKey(file, isDryRun), key: { kind: 'file', file } };
    case 'keyring': {
      const publicKey = isDryRun ? anyKey() : await keyInKeyring(request);
      return { publicKey, key: { kind, publicKey } };
    }
    case 'ssh-agent': {
      const publicKey = await keyInAgent(request.sshKey);
      return { publicKey, key: { kind, publicKey } };
    }
    default:
      return kind satisfies never;
  }
}

const anyKey = () => new Uint8Array(32);

const publicHalf = (key: KeyObject) =>
  new Uint8Array(Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url'));

/** Of a key file that is there, whether or not it has a passphrase; else of a new one without. */
async function plainKey(file: string, isDryRun: boolean): Promise<Uint8Array> {
  const isThere = existsSync(file);
  if (isDryRun && !isThere) return anyKey();
  if (!isThere) return (await openNodeKey(file)).publicKey;
  const { isEncrypted, openKeyFile, readLoginKeyText } = await loadLoginKeys();
  if (!isEncrypted(readLoginKeyText(file))) return (await openNodeKey(file)).publicKey;
  return isDryRun ? anyKey() : publicHalf(await openKeyFile(file, true));
}

/** Of a key file with a passphrase, which is made if there is none. */
async function encryptedKey(file: string, isDryRun: boolean): Promise<Uint8Array> {
  const { askPassphrase, encryptKey, isEncrypted, openKeyFile, readLoginKeyText } = await loadLoginKeys();
  if (existsSync(file)) {
    if (!isEncrypted(readLoginKeyText(file)))
      throw conflict(
        `--login-key encrypted: ${file} is a key without a passphrase, and copies of it may be anywhere: name another file`,
      );
    return isDryRun ? anyKey() : publicHalf(await openKeyFile(file, true));
  }
  if (isDryRun) return anyKey();
  const passphrase = await askPassphrase(`New passphrase of ${file}: `);
  const again = await askPassphrase('The same again: ');
  if (passphrase.reveal() !== again.reveal())
    throw new ConfigurationError(
      'DAAS_LOGIN_PASSPHRASE_WRONG',
      `the two passphrases of ${file} differ: nothing was made, try again`,
    );
  const { privateKey } = generateKeyPairSync('ed25519');
  makeTrustedDirectory(dirname(file), { what: 'the directory of the key' });
  await replaceFile(file, encryptKey(privateKey, passphrase), 0o600);
  return publicHalf(privateKey);
}

/** A file that names the key which a login has in the keyring, from before it is on chain. */
const pointerOf = (loginFile: string) => `${loginFile}.keyring`;

/** A login that has left the keyring must not come back to the key that it had there. */
export const forgetKeyring = (loginFile: string) => rm(pointerOf(loginFile), { force: true });

/**
 * A new key in the keyring. Its public half is in the pointer before it is on chain: killed in between, the same command finds it
 * again.
 */
async function keyInKeyring({ pointer, before }: KeyRequest): Promise<Uint8Array> {
  const { readFromKeyring, storeInKeyring } = await loadLoginKeys();
  const known = await pointedAt(pointer);
  if (known && !(before && Buffer.from(known).equals(before))) {
    readFromKeyring(known);
    return known;
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  const publicKey = publicHalf(privateKey);
  storeInKeyring(publicKey, privateKey);
  makeTrustedDirectory(dirname(pointer), { what: 'the directory of the login file' });
  await replaceFile(pointer, `${Buffer.from(publicKey).toString('hex')}\n`, 0o600);
  return publicKey;
}

async function pointedAt(pointer: string): Promise<Uint8Array | undefined> {
  if (!existsSync(pointer)) return undefined;
  const text = await readTrustedText(pointer, { what: 'the name of a key in the keyring' });
  const hex = /^[0-9a-f]{64}$/.exec(text.trim())?.[0];
  return hex === undefined ? undefined : new Uint8Array(Buffer.from(hex, 'hex'));
}

/** The key of `--ssh-key`, or the only Ed25519 key of the agent, which has signed with it. */
async function keyInAgent(sshKey: string | undefined): Promise<Uint8Array> {
  const { agentKeys, signWithAgent } = await loadLoginKeys();
  const agent = { socket: process.env.SSH_AUTH_SOCK };
  const publicKey =
    sshKey === undefined ? onlyKeyOf(await agentKeys(agent)) : await readHolderKey(sshKey, '--ssh-key');
  await signWithAgent(agent, publicKey, Buffer.from('eyJ: k3s-daas asks whether this key signs'));
  return publicKey;
}

function onlyKeyOf(
  keys: ReadonlyArray<{ readonly publicKey: Uint8Array; readonly comment: string }>,
): Uint8Array {
  const [only, ...others] = keys;
  if (only && others.length === 0) return only.publicKey;
  throw new ConfigurationError(
    'DAAS_LOGIN_AGENT_KEY',
    only
      ? `the ssh-agent has ${keys.length} Ed25519 keys (${keys.map(({ comment }) => comment).join(', ')}): say which with --ssh-key FILE.pub`
      : 'the ssh-agent has no Ed25519 key: make one with ssh-keygen -t ed25519, and load it with ssh-add',
  );
}

/**
 * Refuses the key of the wallet: whoever may log in with it could spend all coins.
 * @throws `DAAS_LOGIN_KEY_IS_WALLET`.
 */
export function assertNotWallet(publicKey: Uint8Array, wallet: string): void {
  if (addressOfKey(publicKey) !== wallet) return;
  throw new ConfigurationError(
    'DAAS_LOGIN_KEY_IS_WALLET',
    `the key of the login is that of the wallet ${wallet}: take another one, since this one moves its coins`,
  );
}

const conflict = (message: string) => new ConfigurationError('DAAS_FLAGS_CONFLICT', message);
