// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { createHash, KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/**
 * A development PKI: certificates of the same form as a vendor's, below a root of our own. No production policy trusts it,
 * since such a policy has no field for other roots than the vendors'.
 */
export interface DevChain {
  readonly root: DevIdentity;
  readonly intermediate: DevIdentity;
  readonly leaf: DevIdentity;
}

export interface DevIdentity {
  readonly name: string;
  readonly certificate: Buffer;
  readonly serial: string;
  readonly key: KeyObject;
  readonly algorithm: Algorithm;
}

type Algorithm = 'P-256' | 'P-384' | 'RSA-PSS';

interface Extension {
  readonly oid: string;
  readonly value: Uint8Array;
  readonly isCritical?: boolean;
}

export interface DevChainOptions {
  readonly nowMs: number;
  readonly names: Readonly<Record<'root' | 'intermediate' | 'leaf', string>>;
  readonly caAlgorithm: Algorithm;
  readonly leafAlgorithm: Algorithm;
  readonly leafExtensions?: readonly Extension[];
  /** The root to use; made unless given. */
  readonly root?: DevIdentity | undefined;
  /** What a test makes wrong with it. */
  readonly fault?: ChainFault | undefined;
}

export type ChainFault =
  | 'leaf signed by a stranger'
  | 'intermediate is no CA'
  | 'path too long'
  | 'unknown critical extension';

const HOUR_MS = 3_600_000;
/** Root and leaf begin this long before now, and end this long after. */
export const DEV_VALIDITY_MS = 3 * HOUR_MS;

export async function devChain(options: DevChainOptions): Promise<DevChain> {
  const { names, caAlgorithm, leafAlgorithm, fault, nowMs } = options;
  const root =
    options.root ??
    (await issue({
      nowMs,
      name: names.root,
      algorithm: caAlgorithm,
      isCa: true,
      ...(fault === 'path too long' && { pathLength: 0 }),
    }));
  const isCa = fault !== 'intermediate is no CA';
  const intermediate = await issue({
    nowMs,
    name: names.intermediate,
    algorithm: caAlgorithm,
    isCa,
    issuer: root,
  });
  const stranger = fault === 'leaf signed by a stranger' ? await strangerTo(intermediate) : intermediate;
  const critical = { oid: '1.2.3.4', value: Buffer.of(5, 0), isCritical: true };
  const leaf = await issue({
    nowMs,
    name: names.leaf,
    algorithm: leafAlgorithm,
    isCa: false,
    issuer: stranger,
    extensions: [
      ...(options.leafExtensions ?? []),
      ...(fault === 'unknown critical extension' ? [critical] : []),
    ],
  });
  return { root, intermediate, leaf };
}

/** The same name with another key. */
async function strangerTo(identity: DevIdentity): Promise<DevIdentity> {
  const { keys } = await keysOf(`stranger to ${identity.name}`, identity.algorithm);
  return { ...identity, key: KeyObject.from(keys.privateKey) };
}

export interface Request {
  readonly nowMs: number;
  /** Empty: a certificate whose subject names nobody. */
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly isCa: boolean;
  readonly pathLength?: number;
  readonly issuer?: DevIdentity;
  /** From now on. */
  readonly validityMs?: number;
  readonly extensions?: readonly Extension[];
}

export async function issue(request: Request): Promise<DevIdentity> {
  const { name, algorithm, isCa, issuer, nowMs, validityMs = DEV_VALIDITY_MS } = request;
  const { keys } = await keysOf(name, algorithm);
  const serial = createHash('sha256').update(`${name}${nowMs}`).digest('hex').slice(0, 30);
  const signer = issuer ?? { name, algorithm, key: KeyObject.from(keys.privateKey) };
  const usage = isCa
    ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign
    : x509.KeyUsageFlags.digitalSignature;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `01${serial}`,
    subject: distinguishedName(name),
    issuer: distinguishedName(signer.name),
    publicKey: keys.publicKey,
    signingKey: signer.key.toCryptoKey(importAlgorithm(signer.algorithm), true, ['sign']),
    signingAlgorithm: signingAlgorithm(signer.algorithm),
    notBefore: new Date(nowMs - DEV_VALIDITY_MS),
    notAfter: new Date(nowMs + validityMs),
    extensions: [
      ...(isCa ? [new x509.BasicConstraintsExtension(true, request.pathLength, true)] : []),
      new x509.KeyUsagesExtension(usage, true),
      ...(request.extensions ?? []).map(
        ({ oid, value, isCritical = false }) => new x509.Extension(oid, isCritical, Uint8Array.from(value)),
      ),
    ],
  });
  return {
    name,
    algorithm,
    certificate: Buffer.from(certificate.rawData),
    serial: `01${serial}`,
    key: KeyObject.from(keys.privateKey),
  };
}

const distinguishedName = (name: string): string => (name === '' ? '' : `CN=${name}`);

export interface CrlOptions {
  readonly nowMs: number;
  readonly issuer: DevIdentity;
  readonly revoked?: readonly string[];
  readonly nextUpdateMs?: number;
}

/** A CRL of an hour ago, in DER. */
export async function devCrl({ nowMs, issuer, revoked = [], nextUpdateMs }: CrlOptions): Promise<Buffer> {
  const crl = await x509.X509CrlGenerator.create({
    issuer: `CN=${issuer.name}`,
    thisUpdate: new Date(nowMs - HOUR_MS),
    nextUpdate: new Date(nextUpdateMs ?? nowMs + DEV_VALIDITY_MS),
    entries: revoked.map((serialNumber) => ({ serialNumber, revocationDate: new Date(nowMs - HOUR_MS) })),
    signingKey: issuer.key.toCryptoKey(importAlgorithm(issuer.algorithm), true, ['sign']),
    signingAlgorithm: signingAlgorithm(issuer.algorithm),
  });
  return Buffer.from(crl.rawData);
}

interface Keys {
  readonly keys: webcrypto.CryptoKeyPair;
}
const known = new Map<string, Promise<Keys>>();

/** Making RSA keys takes long: one key for each name in a process. */
function keysOf(name: string, algorithm: Algorithm): Promise<Keys> {
  x509.cryptoProvider.set(webcrypto);
  const id = `${name} ${algorithm}`;
  const pending = known.get(id) ?? makeKeys(algorithm);
  known.set(id, pending);
  return pending;
}

async function makeKeys(algorithm: Algorithm): Promise<Keys> {
  const parameters =
    algorithm === 'RSA-PSS'
      ? { ...importAlgorithm(algorithm), modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }
      : importAlgorithm(algorithm);
  const keys = await webcrypto.subtle.generateKey(parameters as webcrypto.EcKeyGenParams, true, [
    'sign',
    'verify',
  ]);
  return { keys: keys as webcrypto.CryptoKeyPair };
}

function importAlgorithm(algorithm: Algorithm) {
  return algorithm === 'RSA-PSS'
    ? { name: 'RSA-PSS', hash: 'SHA-384' }
    : { name: 'ECDSA', namedCurve: algorithm };
}

function signingAlgorithm(algorithm: Algorithm): webcrypto.EcdsaParams & { saltLength?: number } {
  if (algorithm === 'RSA-PSS') return { name: 'RSA-PSS', hash: 'SHA-384', saltLength: 48 };
  return { name: 'ECDSA', hash: algorithm === 'P-384' ? 'SHA-384' : 'SHA-256' };
}
