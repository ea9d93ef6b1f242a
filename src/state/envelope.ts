import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { ConfigurationError } from '#base';

/** Where a sealed value belongs. It opens nowhere else. */
export interface Place {
  /** The kind of the engine, or `backup`. */
  readonly engine: string;
  /** The id of the cluster on chain. */
  readonly scope: string;
  /** The key of the record. */
  readonly name: string;
}

export interface SealingKey {
  readonly id: string;
  readonly key: KeyObject;
}

const FORMAT = 'k3s-daas-sealed/1';
const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

export const isSealed = (text: string): boolean => text.startsWith('k3s-daas-sealed/');

/** The key id of an envelope; `undefined` of a text that is none. */
export function keyIdOf(text: string): string | undefined {
  const [format, id, nonce, data, ...others] = text.split(' ');
  return format === FORMAT && data !== undefined && nonce && others.length === 0 ? id : undefined;
}

/**
 * AES-256-GCM under a random nonce: `k3s-daas-sealed/1 <key id> <nonce> <ciphertext and tag>`, the last two in base64url
 * (NIST SP 800-38D: at most 2^32 values a key).
 */
export function sealText({ id, key }: SealingKey, place: Place, text: string): string {
  const nonce = randomBytes(nonceBytes);
  const sealing = createCipheriv(cipher, key, nonce, { authTagLength: tagBytes });
  sealing.setAAD(boundTo(place));
  const data = Buffer.concat([sealing.update(text, 'utf8'), sealing.final(), sealing.getAuthTag()]);
  return `${FORMAT} ${id} ${nonce.toString('base64url')} ${data.toString('base64url')}`;
}

/**
 * @throws `DAAS_STATE_FORGED`: it was altered or cut, or it was sealed for another place; `DAAS_STATE_KEY_UNKNOWN`.
 */
export function openText(
  find: (id: string) => SealingKey | undefined,
  place: Place,
  envelope: string,
): string {
  const id = keyIdOf(envelope);
  if (id === undefined) throw forged(place.name, 'is not sealed as this version seals');
  const found = find(id);
  if (!found)
    throw new ConfigurationError(
      'DAAS_STATE_KEY_UNKNOWN',
      `the record ${place.name} of the state is sealed with the key '${id}', which is not among the keys of gateway.state.keys: put it back there`,
      { details: { record: place.name, keyId: id } },
    );
  const [, , nonce = '', data = ''] = envelope.split(' ');
  const bytes = Buffer.from(data, 'base64url');
  try {
    const opening = createDecipheriv(cipher, found.key, Buffer.from(nonce, 'base64url'), {
      authTagLength: tagBytes,
    });
    opening.setAAD(boundTo(place));
    opening.setAuthTag(bytes.subarray(-tagBytes));
    return Buffer.concat([opening.update(bytes.subarray(0, -tagBytes)), opening.final()]).toString('utf8');
  } catch (cause) {
    throw forged(place.name, 'was altered or cut, or belongs to another record, engine or cluster', cause);
  }
}

/** What somebody changed who does not hold the key. */
export function forged(name: string, why: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_STATE_FORGED',
    `the record ${name} of the state ${why}: find out who can write the state, and restore it from a backup`,
    { details: { record: name }, ...(cause !== undefined && { cause }) },
  );
}

const boundTo = ({ engine, scope, name }: Place) =>
  Buffer.from(JSON.stringify(['k3s-daas-state/1', engine, scope, name]), 'utf8');
