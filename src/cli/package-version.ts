import { readFileSync } from 'node:fs';

/** The version of this package. Its package.json is at another depth for sources, chunks of the build, and the built entry. */
export function packageVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        name: string;
        version: string;
      };
      if (name === 'k3s-daas') return version;
    } catch {
      // Not there: the next one is.
    }
  }
  return 'unknown';
}
