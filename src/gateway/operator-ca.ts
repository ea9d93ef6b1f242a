import { createPrivateKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { roleUri } from './operator-list.ts';
import type { OperatorRole } from './operator-roles.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const caName = 'CN=k3s-daas operators';
const caLifeMs = 10 * 365 * 86_400_000;
/** Clocks of two machines differ. */
const toleranceMs = 60_000;

/** A certificate with its key, PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

/** Makes an authority that signs certificates of operators, and nothing below them. */
export async function makeOperatorCa(nowMs: number): Promise<Issued> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: caName,
    notBefore: new Date(nowMs - toleranceMs),
    notAfter: new Date(nowMs + caLifeMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey) };
}

export interface CertificateOrder {
  /** PEM */
  readonly caCert: string;
  readonly caKey: KeyObject;
  readonly name: string;
  readonly role: OperatorRole;
  readonly nowMs: number;
  readonly expiresAtMs: number;
}

/** Makes a key for an operator and signs its certificate: for a client of TLS alone, with the role in it. */
export async function issueOperatorCertificate({
  caCert,
  caKey,
  name,
  role,
  nowMs,
  expiresAtMs,
}: CertificateOrder): Promise<Issued & { readonly serial: string }> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const pkcs8 = caKey.export({ type: 'pkcs8', format: 'der' });
  const signingKey = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), algorithm, false, [
    'sign',
  ]);
  const serial = newSerial();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: [{ CN: [name] }],
    issuer: new x509.X509Certificate(caCert).subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(nowMs - toleranceMs),
    notAfter: new Date(expiresAtMs),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: roleUri(role) }]),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey), serial };
}

/** Loaded when it is used: the gateway itself signs nothing. */
async function loadX509() {
  // @peculiar/x509 throws when it is loaded without it.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  return x509;
}

/** Positive, and without a zero at its beginning, so that every reader writes it alike. */
const newSerial = (): string => `40${randomBytes(15).toString('hex')}`;

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  const parsed = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
  return parsed.export({ type: 'pkcs8', format: 'pem' }).toString();
}
