import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { dirname } from 'node:path';
import { ConfigurationError, Secret } from '#base';
import { makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';

/**
 * k3s' node password: with it the supervisor gives out certificates for the node's name. k3s keeps it on the worker in
 * `/etc/rancher/node/password` (16 random bytes as hex and a newline), and its scrypt hash on the server in the Secret
 * `<node>.node-password.k3s`, in the form `$1:<salt>:15:8:1:<key>` (measured on k3s 1.36).
 */
const costLog2 = 15;
const blockSize = 8;
const parallelism = 1;
const keyLength = 64;
const saltLength = 8;

const hashForm = /^\$1:([0-9a-f]{16}):15:8:1:([A-Za-z0-9+/]{86})$/;

/** Whether a text has the one form that k3s makes: version 1, N = 2^15, r = 8, p = 1, 64 bytes of key. */
export function isNodePasswordHash(text: string): boolean {
  return hashForm.test(text);
}

/**
 * Reads the password file, or makes it (0600) as k3s would. k3s trims what it reads, so do we.
 * @throws `DAAS_NODE_PASSWORD_EXPOSED` when others may read it, `DAAS_NODE_PASSWORD_UNREADABLE`.
 */
export async function openNodePassword(path: string): Promise<Secret> {
  try {
    const rules = { what: 'the node password', exposedCode: 'DAAS_NODE_PASSWORD_EXPOSED' } as const;
    const text = (await readTrustedText(path, rules)).trim();
    if (text !== '') return new Secret(text);
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new ConfigurationError(
        'DAAS_NODE_PASSWORD_UNREADABLE',
        `the node password ${path} cannot be read: check its owner and mode`,
        { cause },
      );
  }
  const made = randomBytes(16).toString('hex');
  makeTrustedDirectory(dirname(path), { what: 'the directory of the node password' });
  await replaceFile(path, `${made}\n`);
  return new Secret(made);
}

/**
 * The password's hash as k3s stores it. The salt follows from the password, so that the same password always gives the
 * same text: the gateway then keeps a password Secret that is already right. To replace it would leave the name
 * without a password for a moment, in which any credential could claim it. A salt defends against tables of likely passwords; these are
 * 128 random bits.
 */
export async function hashNodePassword(
  password: Secret,
  salt: Uint8Array = saltOf(password),
): Promise<string> {
  const key = await derive(password.reveal(), salt);
  return `$1:${Buffer.from(salt).toString('hex')}:${costLog2}:${blockSize}:${parallelism}:${unpadded(key)}`;
}

/** Whether the password is the one that was hashed; `false` for a hash of another form. */
export async function isNodePassword(password: Secret, hash: string): Promise<boolean> {
  const [, salt, key] = hashForm.exec(hash) ?? [];
  if (salt === undefined || key === undefined) return false;
  return timingSafeEqual(
    await derive(password.reveal(), Buffer.from(salt, 'hex')),
    Buffer.from(key, 'base64'),
  );
}

function saltOf(password: Secret): Buffer {
  return createHash('sha256')
    .update('k3s-daas node password salt\n')
    .update(password.reveal())
    .digest()
    .subarray(0, saltLength);
}

function derive(password: string, salt: Uint8Array): Promise<Buffer> {
  // 128 · N · r bytes are needed, exactly Node's default limit, which it refuses.
  const options = { N: 2 ** costLog2, r: blockSize, p: parallelism, maxmem: 64 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, keyLength, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

function unpadded(key: Buffer): string {
  return key.toString('base64').replace(/=+$/, '');
}
