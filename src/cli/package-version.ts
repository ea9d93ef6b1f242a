import { readFileSync } from 'node:fs';
import { carriedFile, isSingleExecutable } from '#base';

/** The version of this package. Its package.json is at another depth for sources, chunks of the build, and the built entry. */
export function packageVersion(): string {
  if (isSingleExecutable) return versionIn(carriedFile('package.json')) ?? 'unknown';
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const version = versionIn(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (version !== undefined) return version;
    } catch {
      // Not there: the next one is.
    }
  }
  return 'unknown';
}

function versionIn(text: string): string | undefined {
  const { name, version } = JSON.parse(text) as { name: string; version: string };
  return name === 'k3s-daas' ? version : undefined;
}
