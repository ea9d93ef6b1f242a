import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where Go looks for the roots of a Linux machine (crypto/x509/root_linux.go); k3s trusts what is there. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const DIRECTORIES = ['/etc/ssl/certs', '/etc/pki/tls/certs'];

/** The certificates (PEM) that a Go program on this machine trusts: SSL_CERT_FILE and SSL_CERT_DIR, or the machine's own. */
export async function systemRoots(environment: Environment = process.env): Promise<string[]> {
  const bundles = environment.SSL_CERT_FILE ? [environment.SSL_CERT_FILE] : BUNDLES;
  const directories = environment.SSL_CERT_DIR ? environment.SSL_CERT_DIR.split(':') : DIRECTORIES;
  const roots = new Set<string>();
  // As Go does: the first bundle that can be read, then every file of the directories.
  for (const bundle of bundles) if (await addCertificates(bundle, roots)) break;
  for (const directory of directories)
    for (const name of await readdir(directory).catch(() => []))
      await addCertificates(join(directory, name), roots);
  return [...roots];
}

async function addCertificates(file: string, into: Set<string>): Promise<boolean> {
  const text = await readFile(file, 'latin1').catch(() => undefined);
  if (text === undefined) return false;
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  for (const certificate of found) into.add(certificate);
  return true;
}
