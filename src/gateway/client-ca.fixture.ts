// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
type Keys = webcrypto.CryptoKeyPair;

interface LeafOptions {
  readonly organizations?: readonly string[];
  readonly usage?: 'client' | 'server';
  readonly endsInMs?: number;
}

/** The authority of a cluster's client certificates, and what it issues. */
export interface ClientCa {
  /** PEM */
  readonly certificate: string;
  issue(commonName: string, options?: LeafOptions): Promise<string>;
  /** A CA below this one, under the name of its certificate. */
  below(name: string): Promise<ClientCa>;
  /** The three that k3s writes for a node, the kubelet's first. */
  agent(nodeId: string): Promise<readonly [kubelet: string, proxy: string, controller: string]>;
  /** The same, with the key of the kubelet's certificate. */
  agentWithKey(
    nodeId: string,
  ): Promise<{ readonly certificates: readonly string[]; readonly key: KeyObject }>;
}

export const fingerprintOf = (pem: string): string =>
  new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();

export async function newClientCa(name = 'k3s-client-ca'): Promise<ClientCa> {
  const keys = await newKeys();
  return caOf(name, keys, await certify({ subject: `CN=${name}`, keys, issuer: `CN=${name}`, by: keys }));
}

function caOf(name: string, by: Keys, certificate: string): ClientCa {
  const issuer = `CN=${name}`;
  const issueFor = (keys: Keys, commonName: string, options: LeafOptions = {}) => {
    const { organizations = [], usage = 'client', endsInMs } = options;
    const subject = [...organizations.map((value) => ({ O: [value] })), { CN: [commonName] }];
    return certify({ subject, keys, issuer, by, usage, endsInMs });
  };
  const issue = async (commonName: string, options: LeafOptions = {}) =>
    issueFor(await newKeys(), commonName, options);
  const agentOf = (nodeId: string, keys: Keys) =>
    Promise.all([
      issueFor(keys, `system:node:${nodeId}`, { organizations: ['system:nodes'] }),
      issue('system:kube-proxy'),
      issue('system:k3s-controller'),
    ]);
  return {
    certificate,
    issue,
    async below(other) {
      const keys = await newKeys();
      return caOf(other, keys, await certify({ subject: `CN=${other}`, keys, issuer, by }));
    },
    agent: async (nodeId) => agentOf(nodeId, await newKeys()),
    async agentWithKey(nodeId) {
      const keys = await newKeys();
      return { certificates: await agentOf(nodeId, keys), key: KeyObject.from(keys.privateKey) };
    },
  };
}

function newKeys(): Promise<Keys> {
  x509.cryptoProvider.set(webcrypto);
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<Keys>;
}

async function certify(order: {
  readonly subject: string | Array<Record<string, string[]>>;
  readonly keys: Keys;
  readonly issuer: string;
  readonly by: Keys;
  /** A CA without. */
  readonly usage?: 'client' | 'server' | undefined;
  readonly endsInMs?: number | undefined;
}): Promise<string> {
  const { subject, keys, issuer, by, usage, endsInMs = 3_600_000 } = order;
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `40${randomBytes(15).toString('hex')}`,
    subject,
    issuer,
    publicKey: keys.publicKey,
    signingKey: by.privateKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(0),
    notAfter: new Date(Date.now() + endsInMs),
    extensions: [
      new x509.BasicConstraintsExtension(usage === undefined, undefined, true),
      ...(usage ? [new x509.ExtendedKeyUsageExtension([usage === 'client' ? clientAuth : serverAuth])] : []),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}
