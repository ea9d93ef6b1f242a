/** What changes in the clone when a version is set: npm itself changes `version` of package.json and the lockfile alone. */

export interface Step {
  readonly from: string;
  readonly to: string;
  /** Of the release, as 2026-12-01. */
  readonly date: string;
}

const DEVNET = '@k3s-daas/devnet';

interface Manifest {
  version: string;
  devDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

const jsonOf = (value: object): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** package.json: the dev chain is of the same version. */
export function nextManifest(text: string, { to }: Step): string {
  const manifest = JSON.parse(text) as Manifest;
  setDevnet(manifest, to);
  return jsonOf({ ...manifest, version: to });
}

export function nextDevnetManifest(text: string, { to }: Step): string {
  return jsonOf({ ...(JSON.parse(text) as Manifest), version: to });
}

/** Of the lockfile only what names our own two packages. */
export function nextLockfile(text: string, { to }: Step): string {
  const lock = JSON.parse(text) as { version: string; packages: Record<string, Manifest> };
  const { '': root, devnet } = lock.packages;
  if (!root || !devnet) throw new Error('package-lock.json does not name both packages');
  lock.version = to;
  for (const one of [root, devnet]) one.version = to;
  setDevnet(root, to);
  return jsonOf(lock);
}

/** Pages and manifests of examples that name the version. */
export function nextPage(text: string, { from, to }: Step): string {
  return text.replaceAll(new RegExp(`(?<![\\d.])${from.replaceAll('.', '\\.')}(?![\\d]|\\.\\d)`, 'g'), to);
}

/**
 * CHANGELOG.md: what is unreleased is this version's.
 * @throws where nothing is written there: a release says what changed.
 */
export function nextChangelog(text: string, { to, date }: Step): string {
  const [, entries = ''] = /^## Unreleased\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(text) ?? [];
  if (!/^- /m.test(entries)) throw new Error('CHANGELOG.md has nothing under "Unreleased": say what changed');
  return text.replace('## Unreleased\n', `## Unreleased\n\n## ${to} (${date})\n`);
}

function setDevnet(manifest: Manifest, to: string): void {
  for (const part of [manifest.devDependencies, manifest.peerDependencies])
    if (part && DEVNET in part) part[DEVNET] = to;
}
