import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as CycloneDX from '@cyclonedx/cyclonedx-library';

/** What of other people's code is in a bundle: their licences have to come with it, and a list for scanners. */

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression, as its package.json has it. */
  readonly license: string;
  readonly directory: string;
}

/** The npm packages that modules of a bundle come from; `moduleIds` are absolute paths. Sorted by name and version. */
export function bundledPackages(moduleIds: Iterable<string>): readonly BundledPackage[] {
  const found = new Map<string, BundledPackage>();
  for (const id of moduleIds) {
    const directory = packageDirectory(id.replace(/^\0/, '').replace(/\?.*$/, ''));
    if (directory === undefined || found.has(directory)) continue;
    const { name, version, license } = manifestOf(directory);
    if (!license) throw new Error(`${directory}/package.json names no license: what is bundled needs one`);
    found.set(directory, { name, version, license, directory });
  }
  const unique = new Map([...found.values()].map((one) => [`${one.name}@${one.version}`, one]));
  return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

function manifestOf(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;
}

/** A package.json inside a package that only sets `type` names no package. */
function packageDirectory(file: string): string | undefined {
  if (!file.includes('/node_modules/')) return undefined;
  for (let directory = dirname(file); directory.includes('/node_modules/'); directory = dirname(directory)) {
    if (existsSync(join(directory, 'package.json')) && manifestOf(directory).version) return directory;
  }
  return undefined;
}

/** The licence texts of the packages, as their licences ask for. */
export function thirdPartyNotices(packages: readonly BundledPackage[]): string {
  const notices = packages.map(({ name, version, license, directory }) => {
    const texts = readdirSync(directory)
      .filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(directory, file), 'utf8').trim());
    return [`${name} ${version} (${license})`, ...texts].join('\n\n');
  });
  return `${['This program contains code of these packages.', ...notices].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/**
 * The software bill of materials of one of our packages (CycloneDX 1.6, JSON): `bundled` is in its files, `installed` (name →
 * version) comes with it by npm. It has no date and no serial number: the same sources give the same bytes.
 */
export function billOfMaterials(
  own: { readonly name: string; readonly version: string },
  {
    bundled,
    installed,
  }: { readonly bundled: readonly BundledPackage[]; readonly installed: Readonly<Record<string, string>> },
): string {
  const { Models, Enums, Serialize, Spec } = CycloneDX;
  const component = (
    type: CycloneDX.Enums.ComponentType,
    { name, version }: { readonly name: string; readonly version: string },
  ) => {
    const [, group, base] = /^(?:(@[^/]+)\/)?(.+)$/.exec(name) ?? [];
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
    return new Models.Component(type, base ?? name, { group, version, purl, bomRef: purl });
  };
  const bill = new Models.Bom();
  const application = component(Enums.ComponentType.Application, own);
  bill.metadata.component = application;
  for (const one of [
    ...bundled,
    ...Object.entries(installed).map(([name, version]) => ({ name, version, license: undefined })),
  ]) {
    const library = component(Enums.ComponentType.Library, one);
    if (one.license !== undefined) library.licenses.add(new Models.LicenseExpression(one.license));
    bill.components.add(library);
    application.dependencies.add(library.bomRef);
  }
  const normalizer = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  const text = new Serialize.JsonSerializer(normalizer).serialize(bill, { sortLists: true, space: 2 });
  return `${text}\n`;
}
