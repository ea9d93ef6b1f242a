// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
type Keys = webcrypto.CryptoKeyPair;

let serverOnce: Promise<{ cert: string; key: string }> | undefined;
/** One server certificate for all tests of a process: making a key takes time. */
export function testTls(): Promise<{ cert: string; key: string }> {
  serverOnce ??= makeTls();
  return serverOnce;
}

/** A self-signed server certificate for 127.0.0.1 and localhost, with a key of its own. */
export async function makeTls(): Promise<{ cert: string; key: string }> {
  const keys = await newKeys();
  const cert = await makeCertificate({ name: 'CN=gateway', keys, isCa: true });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return { cert, key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n` };
}

let chainOnce: Promise<{ root: string; intermediate: string; stranger: string }> | undefined;
/** A root, a CA below it, and a root that has nothing to do with them. */
export function caChain(): Promise<{ root: string; intermediate: string; stranger: string }> {
  chainOnce ??= makeChain();
  return chainOnce;
}

async function makeChain(): Promise<{ root: string; intermediate: string; stranger: string }> {
  const [root, intermediate, stranger] = await Promise.all([newKeys(), newKeys(), newKeys()]);
  return {
    root: await makeCertificate({ name: 'CN=root', keys: root, isCa: true }),
    intermediate: await makeCertificate({
      name: 'CN=intermediate',
      keys: intermediate,
      isCa: true,
      issuer: { name: 'CN=root', keys: root },
    }),
    stranger: await makeCertificate({ name: 'CN=stranger', keys: stranger, isCa: true }),
  };
}

function newKeys(): Promise<Keys> {
  x509.cryptoProvider.set(webcrypto);
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<Keys>;
}

async function makeCertificate(subject: {
  name: string;
  keys: Keys;
  isCa: boolean;
  issuer?: { name: string; keys: Keys };
}): Promise<string> {
  const issuer = subject.issuer ?? subject;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: subject.name,
    issuer: issuer.name,
    publicKey: subject.keys.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    extensions: [
      new x509.BasicConstraintsExtension(subject.isCa, undefined, true),
      new x509.SubjectAlternativeNameExtension([
        { type: 'ip', value: '127.0.0.1' },
        { type: 'dns', value: 'localhost' },
      ]),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}
