import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);
// k3s' parameters: N = 2^15, r = 8, p = 1, 64 bytes; the version in front is part of the text.
const cost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };

/** The hash as k3s stores it in a node-password Secret: `$1:<16 hex salt>:15:8:1:<base64 without padding>`. */
export async function hashNodePassword(password: string): Promise<string> {
  const salt = randomBytes(8);
  const key = await derive(password, salt, 64, cost);
  return `$1:${salt.toString('hex')}:15:8:1:${key.toString('base64').replace(/=+$/, '')}`;
}

export async function isNodePassword(password: string, hash: string): Promise<boolean> {
  const match = /^\$1:([0-9a-f]{16}):15:8:1:([A-Za-z0-9+/]+)$/.exec(hash);
  if (!match) return false;
  const [, salt = '', text = ''] = match;
  const wanted = Buffer.from(text, 'base64');
  const key = await derive(password, Buffer.from(salt, 'hex'), 64, cost);
  return wanted.length === key.length && timingSafeEqual(wanted, key);
}
