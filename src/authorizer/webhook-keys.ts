import { createPrivateKey, webcrypto } from 'node:crypto';
// @peculiar/x509 throws when it is loaded without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

export interface KeyAndCertificate {
  /** PEM */
  readonly cert: string;
  /** PKCS#8 PEM */
  readonly key: string;
}

const lifeMs = 10 * 365 * 86_400_000;

/** A self-signed certificate of the webhook on loopback, or of the API server as its one client. */
export async function makeWebhookKey(role: 'server' | 'client'): Promise<KeyAndCertificate> {
  x509.cryptoProvider.set(webcrypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const now = Date.now();
  const usage = role === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=k3s-daas-authorizer-${role}`,
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + lifeMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'ip', value: '127.0.0.1' },
        { type: 'dns', value: 'localhost' },
      ]),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
