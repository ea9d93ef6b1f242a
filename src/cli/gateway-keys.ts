import { createPrivateKey, createPublicKey, generateKeyPairSync, webcrypto } from 'node:crypto';
import { access } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
// @peculiar/x509 throws when it is loaded without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { spkiPin } from '#api';
import { ConfigurationError } from '#base';
import { makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';
import { readSigningKey } from './signing-key.ts';

/** The files of a gateway's own keys. */
export interface GatewayKeyFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly signingKeyFile: string;
}

/** A gateway's keys as they are registered on chain. */
export interface GatewayKeys {
  /** SHA-256 of the TLS key's SubjectPublicKeyInfo, 32 bytes. */
  readonly tlsPin: Uint8Array;
  /** Ed25519 public key, 32 bytes. */
  readonly signingKey: Uint8Array;
  /** Files that did not exist and were made. */
  readonly made: readonly string[];
}

/** A user who can write into this directory can replace a key in it. */
const keyDirectory = { what: 'the directory of the gateway’s keys', origin: 'gateway.tls' };
const certificateLifeMs = 10 * 365 * 86_400_000;

/**
 * Makes what is missing: a TLS key with a self-signed certificate (workers trust the pin on chain, no authority), and the
 * signing key. Never replaces a file; a key without its certificate, or the other way round, is an error.
 */
export async function ensureGatewayKeys(
  files: GatewayKeyFiles,
  hostNames: readonly string[],
): Promise<GatewayKeys> {
  const made: string[] = [];
  const [hasCert, hasKey, hasSigningKey] = await Promise.all(
    [files.certFile, files.keyFile, files.signingKeyFile].map(exists),
  );
  if (hasCert !== hasKey)
    throw new ConfigurationError(
      'DAAS_GATEWAY_TLS_INCOMPLETE',
      `${hasCert ? files.keyFile : files.certFile} is missing beside ${hasCert ? files.certFile : files.keyFile}: give both, or remove the one to have both made`,
    );
  if (!hasCert) {
    const { certificate, key } = await selfSigned(hostNames);
    makeTrustedDirectory(dirname(files.keyFile), keyDirectory);
    makeTrustedDirectory(dirname(files.certFile), keyDirectory);
    await replaceFile(files.keyFile, key, 0o600);
    await replaceFile(files.certFile, certificate, 0o644);
    made.push(files.keyFile, files.certFile);
  }
  if (!hasSigningKey) {
    const { privateKey } = generateKeyPairSync('ed25519');
    makeTrustedDirectory(dirname(files.signingKeyFile), keyDirectory);
    await replaceFile(files.signingKeyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
    made.push(files.signingKeyFile);
  }
  return { ...(await readGatewayKeys(files)), made };
}

/** Reads the public halves of a gateway's keys. */
async function readGatewayKeys(files: GatewayKeyFiles): Promise<Omit<GatewayKeys, 'made'>> {
  const signing = createPublicKey(await readSigningKey(files.signingKeyFile));
  return {
    tlsPin: spkiPin(
      await readTrustedText(files.certFile, {
        what: 'the certificate of the gateway',
        origin: 'gateway.tls.certFile',
      }),
    ),
    signingKey: signing.export({ type: 'spki', format: 'der' }).subarray(-32),
  };
}

async function selfSigned(hostNames: readonly string[]): Promise<{ certificate: string; key: string }> {
  x509.cryptoProvider.set(webcrypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=k3s-daas-gateway',
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + certificateLifeMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        hostNames.map((name) => ({ type: isIP(name) ? 'ip' : 'dns', value: name })),
      ),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
  return {
    certificate: `${certificate.toString('pem')}\n`,
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
