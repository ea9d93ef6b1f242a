import { generateKeyPairSync, sign } from 'node:crypto';

export interface CertificateRequest {
  /** PKCS #10 (RFC 2986), DER, with an empty subject: the server decides who it is for. */
  readonly der: Buffer;
  readonly keyPem: string;
}

/** A request over a new P-256 key, as k3s makes one for each of its certificates at every start. */
export function newCertificateRequest(): CertificateRequest {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const version = Buffer.from([0x02, 0x01, 0x00]);
  const emptySubject = sequence();
  const noAttributes = Buffer.from([0xa0, 0x00]);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const info = sequence(version, emptySubject, spki, noAttributes);
  const signature = sign('sha256', info, privateKey);
  const der = sequence(
    info,
    sequence(ecdsaWithSha256),
    tagged(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  return { der, keyPem: privateKey.export({ type: 'sec1', format: 'pem' }).toString() };
}

/** OID 1.2.840.10045.4.3.2 */
const ecdsaWithSha256 = Buffer.from([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]);

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}
