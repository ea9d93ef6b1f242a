import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const root = dirname(dirname(import.meta.dirname));

export const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string;
};

/** One file of a release. */
export interface Artefact {
  readonly file: string;
  /** How a test installs it in an empty Debian root, where the release lies in /mnt; then `k3s-daas` is on the PATH. */
  readonly install?: string;
  /** The test that installs it, where that is not the one of the release. */
  readonly testedBy?: string;
}

export function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
