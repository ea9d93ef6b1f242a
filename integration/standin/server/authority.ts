// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { createHash, createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

/** A certificate authority of the cluster, and what it signs. Keys are EC P-256, as k3s makes them. */
export interface Authority {
  /** PEM of the CA certificate, trailing newline included: the bytes that `/cacerts` serves and `K10<hash>` hashes. */
  readonly certificate: string;
  readonly key: string;
  /** Signs the public key of somebody else's request. */
  sign(request: { readonly publicKey: x509.PublicKey } & LeafSubject): Promise<string>;
  /** Makes a key and signs it. */
  issue(subject: LeafSubject): Promise<KeyPair>;
}

interface LeafSubject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly usage: 'client' | 'server';
  /** DNS names and IP addresses. */
  readonly names?: readonly string[];
}
export interface KeyPair {
  /** PEM of the certificate, followed by that of its CA. */
  readonly certificate: string;
  readonly key: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

/** Reads `<name>.crt` and `<name>.key` of the directory, or makes them. */
export async function openAuthority(directory: string, name: string): Promise<Authority> {
  const [certificatePath, keyPath] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  if (!existsSync(certificatePath)) {
    const made = await makeAuthority(`k3s-${name}@${Math.floor(Date.now() / 1000)}`);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(keyPath, made.key, { mode: 0o600 });
    await writeFile(certificatePath, made.certificate, { mode: 0o644 });
  }
  return authorityOf(await readFile(certificatePath, 'utf8'), await readFile(keyPath, 'utf8'));
}

/** A CA below another one. */
export async function subordinateOf(
  parent: Pick<Authority, 'certificate' | 'key'>,
  name: string,
): Promise<Authority> {
  const { certificate, key } = await makeAuthority(name, parent);
  return authorityOf(certificate, key);
}

async function makeAuthority(
  commonName: string,
  parent?: Pick<Authority, 'certificate' | 'key'>,
): Promise<{ certificate: string; key: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${commonName}`,
    issuer: parent ? new x509.X509Certificate(parent.certificate).subject : `CN=${commonName}`,
    publicKey: keys.publicKey,
    signingKey: parent ? await importSigningKey(parent.key) : keys.privateKey,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3650 * dayMs),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await privateKeyPem(keys.privateKey) };
}

function importSigningKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

async function authorityOf(certificate: string, key: string): Promise<Authority> {
  const own = new x509.X509Certificate(certificate);
  const signingKey = await importSigningKey(key);

  async function sign({
    publicKey,
    commonName,
    organizations = [],
    usage,
    names = [],
  }: { readonly publicKey: x509.PublicKey } & LeafSubject): Promise<string> {
    const leaf = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      // As an object: a name in text form would let a comma in a node name add a field.
      subject: [...organizations.map((value) => ({ O: [value] })), { CN: [commonName] }],
      issuer: own.subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 365 * dayMs),
      signingAlgorithm: algorithm,
      publicKey,
      signingKey,
      extensions: [
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
          true,
        ),
        new x509.ExtendedKeyUsageExtension([
          usage === 'client' ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(own),
        ...(names.length > 0
          ? [
              new x509.SubjectAlternativeNameExtension(
                names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value })),
              ),
            ]
          : []),
      ],
    });
    return `${leaf.toString('pem')}\n${certificate}`;
  }

  return {
    certificate,
    key,
    sign,
    async issue(subject) {
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      return {
        certificate: await sign({ publicKey: await x509.PublicKey.create(keys.publicKey), ...subject }),
        key: await privateKeyPem(keys.privateKey),
      };
    },
  };
}

/** The public key of a DER request, undefined for anything else. Its signature is not looked at, as k3s does not. */
export function publicKeyOfRequest(der: Uint8Array): x509.PublicKey | undefined {
  try {
    return new x509.Pkcs10CertificateRequest(Uint8Array.from(der)).publicKey;
  } catch {
    return undefined;
  }
}

/** The hash in `K10<hash>::…` of a bundle of one certificate: SHA-256 over the literal bytes (k3s pkg/clientaccess). */
export const caHash = (certificate: string): string => createHash('sha256').update(certificate).digest('hex');

/** PEM of a private key in the form Go's and k3s' tools write. */
export async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'sec1' })
    .toString();
}

function serialNumber(): string {
  const bytes = randomBytes(16);
  // A serial number is positive and starts with no zero byte.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
