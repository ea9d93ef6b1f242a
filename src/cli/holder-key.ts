import { createPublicKey } from 'node:crypto';
import { ConfigurationError, messageOf } from '#base';
import { readTrustedText } from '#infrastructure';

/** The 32 bytes of an Ed25519 public key, also as OpenSSH writes it (`.pub`); of a private PEM, its public half. */
export async function readHolderKey(file: string, origin = '--holder-key-file'): Promise<Uint8Array> {
  let text: string;
  try {
    text = (await readTrustedText(file, { what: 'the node key', origin })).trim();
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalidHolderKey(file, `it cannot be read: ${messageOf(cause)}`);
  }
  if (/^(?:0x)?[0-9a-fA-F]{64}$/.test(text))
    return Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'));
  const openSsh = /^ssh-ed25519 (AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43})(?: |$)/.exec(text)?.[1];
  // The key type and the length come first (RFC 8709, section 4).
  if (openSsh !== undefined) return Uint8Array.from(Buffer.from(openSsh, 'base64').subarray(-32));
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return Uint8Array.from(Buffer.from(text, 'base64'));
  try {
    const key = text.startsWith('{')
      ? createPublicKey({ key: JSON.parse(text), format: 'jwk' })
      : createPublicKey(text);
    const jwk = key.export({ format: 'jwk' });
    if (jwk.crv === 'Ed25519' && jwk.x) return Uint8Array.from(Buffer.from(jwk.x, 'base64url'));
  } catch {
    // Said below; the cause might quote a private key.
  }
  throw invalidHolderKey(file, 'it holds no Ed25519 key');
}

function invalidHolderKey(file: string, why: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_HOLDER_KEY_INVALID',
    `the node key file ${file} cannot be used: ${why}. Give a PEM, a JWK, an OpenSSH .pub file, or 32 bytes in hex or base64`,
    { details: { file } },
  );
}
