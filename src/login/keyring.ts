import { spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { delimiter } from 'node:path';
import { ConfigurationError } from '#base';

/**
 * Private keys in the keyring of the operating system, by the command that comes with it: `secret-tool` of libsecret (GNOME's keyring,
 * KWallet), `security` on macOS. An item is found by the public key in hex; its secret is PKCS #8 in base64, which passes by pipes and
 * not by arguments, which others can see.
 */
interface Keyring {
  readonly program: string;
  readonly name: string;
  readonly lookUp: (key: string) => Call;
  readonly store: (key: string, secret: string) => Call;
  /** The exit code for an item that is not there. */
  readonly missing: number;
}

interface Call {
  readonly args: readonly string[];
  readonly input?: string;
}

const SERVICE = 'k3s-daas';
/** A locked keyring asks its owner in a window. */
const WITHIN_MS = 60_000;

const LIBSECRET: Keyring = {
  program: 'secret-tool',
  name: 'secret-tool (Debian: libsecret-tools)',
  lookUp: (key) => ({ args: ['lookup', 'service', SERVICE, 'key', key] }),
  store: (key, secret) => ({
    args: ['store', '--label', `K3s-DaaS login ${key.slice(0, 8)}`, 'service', SERVICE, 'key', key],
    input: secret,
  }),
  missing: 1,
};

const MACOS: Keyring = {
  program: '/usr/bin/security',
  name: 'security',
  lookUp: (key) => ({ args: ['find-generic-password', '-s', SERVICE, '-a', key, '-w'] }),
  // With -i it reads commands from its standard input.
  store: (key, secret) => ({
    args: ['-i'],
    input: `add-generic-password -U -s ${SERVICE} -a ${key} -w ${secret}\n`,
  }),
  missing: 44,
};

const keyringOf = (platform: string) => (platform === 'darwin' ? MACOS : LIBSECRET);

/**
 * The private key of a public one.
 * @throws `DAAS_LOGIN_KEYRING_UNAVAILABLE`, `DAAS_LOGIN_KEYRING_NO_KEY`.
 */
export function readFromKeyring(publicKey: Uint8Array, platform: string = process.platform): KeyObject {
  const keyring = keyringOf(platform);
  const key = Buffer.from(publicKey).toString('hex');
  const { status, stdout, why } = run(keyring, keyring.lookUp(key));
  if (status === 0 && stdout.trim() !== '') return keyOf(stdout, key);
  // secret-tool ends with 1 both for no item and for no keyring; it says why for the second alone.
  if (status === keyring.missing && why === '') throw noKey(key, 'it has no such item');
  throw unavailable(keyring, why || `it ended with ${status}`);
}

/** @throws `DAAS_LOGIN_KEYRING_UNAVAILABLE`. */
export function storeInKeyring(
  publicKey: Uint8Array,
  privateKey: KeyObject,
  platform: string = process.platform,
): void {
  const keyring = keyringOf(platform);
  const secret = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  const { status, why } = run(keyring, keyring.store(Buffer.from(publicKey).toString('hex'), secret));
  if (status !== 0) throw unavailable(keyring, why || `it ended with ${status}`);
}

function run(
  { program }: Keyring,
  { args, input }: Call,
): { readonly status: number | null; readonly stdout: string; readonly why: string } {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: WITHIN_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024,
    ...(input !== undefined && { input }),
    env: { ...process.env, PATH: searchPath() },
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const why = code === 'ETIMEDOUT' ? `nothing came within ${WITHIN_MS / 1_000} s` : (code ?? stderr.trim());
  return { status, stdout: stdout ?? '', why: why.split('\n')[0] ?? '' };
}

/** Programs with windows have another PATH than a shell. An empty part would be the directory that one happens to be in. */
function searchPath(): string {
  const parts = (process.env.PATH ?? '').split(delimiter).filter((part) => part !== '');
  return [...parts, '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);
}

function keyOf(secret: string, key: string): KeyObject {
  try {
    const found = createPrivateKey({
      key: Buffer.from(secret.trim(), 'base64'),
      format: 'der',
      type: 'pkcs8',
    });
    const { x } = createPublicKey(found).export({ format: 'jwk' });
    if (Buffer.from(x ?? '', 'base64url').toString('hex') === key) return found;
  } catch {
    // The cause could quote the key.
  }
  throw noKey(key, 'its item is another key, or none');
}

const noKey = (key: string, why: string) =>
  new ConfigurationError(
    'DAAS_LOGIN_KEYRING_NO_KEY',
    `the keyring has no key ${key.slice(0, 16)}… (${why}): \`k3s-daas token rotate --login FILE --login-key keyring\` makes another`,
  );

const unavailable = ({ name }: Keyring, why: string) =>
  new ConfigurationError(
    'DAAS_LOGIN_KEYRING_UNAVAILABLE',
    `the keyring cannot be asked by ${name}: ${why}. Install it, unlock the keyring, or use another --login-key`,
  );
