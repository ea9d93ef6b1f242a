import { createCipheriv, createPrivateKey, type KeyObject, randomBytes, scryptSync } from 'node:crypto';
import { ConfigurationError, type Secret } from '#base';

/**
 * A private key under a passphrase: EncryptedPrivateKeyInfo of PKCS #8 (RFC 5958) by PBES2 (RFC 8018) with scrypt (RFC 7914) and
 * AES-256-CBC, as `openssl pkcs8 -topk8 -scrypt` writes it. Node writes the same structure with 2 048 rounds of PBKDF2 alone, which a
 * thief of the file tries too fast.
 */
const SCRYPT = { N: 16_384, r: 8, p: 5 };
const HEAD = '-----BEGIN ENCRYPTED PRIVATE KEY-----';

/** The PEM of the key under the passphrase. */
export function encryptKey(key: KeyObject, passphrase: Secret): string {
  const [salt, vector] = [randomBytes(16), randomBytes(16)];
  const secret = scryptSync(passphrase.reveal(), salt, 32, SCRYPT);
  const cipher = createCipheriv('aes-256-cbc', secret, vector);
  const plain = key.export({ type: 'pkcs8', format: 'der' });
  const data = Buffer.concat([cipher.update(plain), cipher.final()]);
  const derivation = sequence(
    OID.scrypt,
    sequence(octets(salt), integer(SCRYPT.N), integer(SCRYPT.r), integer(SCRYPT.p)),
  );
  const scheme = sequence(OID.aes256Cbc, octets(vector));
  const info = sequence(sequence(OID.pbes2, sequence(derivation, scheme)), octets(data));
  const lines = info.toString('base64').match(/.{1,64}/g) ?? [];
  return [HEAD, ...lines, HEAD.replace('BEGIN', 'END'), ''].join('\n');
}

/** @throws `DAAS_LOGIN_PASSPHRASE_WRONG`: the passphrase, or the file is spoilt; what is wrong cannot be told apart. */
export function decryptKey(pem: string, passphrase: Secret, path: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem', passphrase: passphrase.reveal() });
  } catch {
    // The cause could quote the key.
    throw new ConfigurationError(
      'DAAS_LOGIN_PASSPHRASE_WRONG',
      `the passphrase does not open the key ${path}: try again`,
    );
  }
}

const OID = {
  pbes2: Buffer.from('06092a864886f70d01050d', 'hex'),
  scrypt: Buffer.from('06092b06010401da47040b', 'hex'),
  aes256Cbc: Buffer.from('060960864801650304012a', 'hex'),
};

/** DER, for lengths below 65 536. */
function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

const sequence = (...parts: readonly Buffer[]) => tagged(0x30, Buffer.concat(parts));
const octets = (bytes: Buffer) => tagged(0x04, bytes);

/** A positive number: its highest bit is not set. */
function integer(value: number): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return tagged(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}
