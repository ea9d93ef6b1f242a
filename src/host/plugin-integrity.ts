import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError } from '#base';
import { readTrustedSync, trustedPath } from '#infrastructure';
import { type ComparedFiles, sealPackages } from './plugin-modules.ts';
import { findPackage, type PackageManifest, readManifest } from './plugin-package.ts';

const fileRules = { what: 'a file of a plugin' };

/** The installed files of a plugin and of every package that it depends on. */
interface InstalledFiles extends ComparedFiles {
  /** `sha512-<base64>`. */
  readonly integrity: string;
}

/**
 * The integrity of an installed package: SHA-512 over a sorted list of all its files and of those of the packages it depends
 * on, each line `<sha512 hex>  <name>@<version>/<path>`. Where npm put the packages does not matter; a changed, added or
 * missing file does. `k3s-daas` itself is left out, because the host lends its own.
 */
export function integrityOf(directory: string): string {
  return readInstalled(directory).integrity;
}

/**
 * Compares the package with the configured value, and from then on lets it load only what was compared.
 *
 * @throws `DAAS_PLUGIN_INTEGRITY` (exit 78).
 */
export function checkIntegrity(
  directory: string,
  { use, integrity }: { use: string; integrity: string },
): void {
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity))
    throw new ConfigurationError(
      'DAAS_PLUGIN_INTEGRITY',
      `the integrity of ${use} is ${JSON.stringify(integrity)}: expected sha512- and 88 characters, as \`k3s-daas plugins integrity\` prints it`,
      { details: { use } },
    );
  const installed = readInstalled(directory);
  if (installed.integrity !== integrity)
    throw new ConfigurationError(
      'DAAS_PLUGIN_INTEGRITY',
      `the installed files of ${use} are not those of the configuration: expected ${integrity}, found ${installed.integrity} in ${directory}. None of its code has run. ` +
        'Install the release that you reviewed again; after a wanted update, set the new value',
      { details: { use, expected: integrity, found: installed.integrity } },
    );
  sealPackages(use, installed);
}

function readInstalled(directory: string): InstalledFiles {
  const digests = new Map<string, string>();
  const lines = new Set<string>();
  const packages = packagesFrom(directory);
  for (const [place, label] of packages)
    for (const path of filesBelow(place)) {
      refuseControls(`${label}/${path}`, place);
      const digest = createHash('sha512')
        .update(readTrustedSync(join(place, path), fileRules))
        .digest('hex');
      digests.set(join(place, path), digest);
      lines.add(`${digest}  ${label}/${path}\n`);
    }
  const list = [...lines].toSorted().join('');
  return {
    integrity: `sha512-${createHash('sha512').update(list).digest('base64')}`,
    directories: packages.keys(),
    digests,
  };
}

/** With a line feed in its name, one file would look like two in the list that is hashed. */
function refuseControls(name: string, place: string): void {
  if (!/\p{Cc}/u.test(name)) return;
  throw new ConfigurationError(
    'DAAS_PLUGIN_INTEGRITY',
    `${JSON.stringify(name)} in ${place}: a package with an integrity has no control characters in its name, its version or the names of its files`,
    { details: { place, name } },
  );
}

/** The package and all it depends on: directory → `name@version`. What is not installed is left out. */
function packagesFrom(directory: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const waiting = [directory];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    if (found.has(place)) continue;
    const manifest = readManifest(place) ?? {};
    found.set(place, `${String(manifest.name)}@${String(manifest.version)}`);
    for (const name of dependenciesOf(manifest)) {
      const dependency = findPackage(name, place);
      if (dependency !== undefined) waiting.push(dependency);
    }
  }
  return found;
}

function dependenciesOf(manifest: PackageManifest): readonly string[] {
  const { dependencies, optionalDependencies, peerDependencies } = manifest;
  return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }).filter(
    (name) => name !== 'k3s-daas',
  );
}

/** Relative paths of all files, without the packages inside, which are found by their names. Links are left out: what they lead to is not loaded. */
function filesBelow(directory: string): readonly string[] {
  trustedPath(directory, { what: 'a package of a plugin' });
  const paths: string[] = [];
  const visit = (below: string) => {
    for (const entry of readdirSync(join(directory, below), { withFileTypes: true })) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory() && entry.name !== 'node_modules') visit(path);
      else if (entry.isFile()) paths.push(path);
    }
  };
  visit('');
  return paths;
}
