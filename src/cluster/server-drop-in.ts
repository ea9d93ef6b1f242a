import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { AUTHORIZATION_FILE } from './authorization-configuration.ts';

/** k3s reads `config.yaml`, then the files of `config.yaml.d` by name (docs.k3s.io/installation/configuration). */
export const SERVER_DROP_IN = 'config.yaml.d/k3s-daas.yaml';

const ARGUMENTS = 'kube-apiserver-arg';

/** The drop-in of a k3s server: with `+` k3s adds to the arguments that the operator has set elsewhere. */
export function serverDropIn(authorizationDirectory: string): string {
  const body = stringify({
    [`${ARGUMENTS}+`]: [`authorization-config=${join(authorizationDirectory, AUTHORIZATION_FILE)}`],
  });
  return `# Written by \`k3s-daas gateway setup --server-files\`: changes are overwritten.\n${body}`;
}

/** A configuration file of a k3s server. */
export interface ServerConfiguration {
  readonly path: string;
  readonly text: string;
}

/**
 * What in the server's other files keeps the drop-in from working, as sentences; empty: nothing. The API server does not start
 * with `authorization-config` beside another way to configure authorization, and a later file without `+` would drop ours.
 * Pure. `others` are in the order in which k3s reads them, without the drop-in itself; `isAfter` says which come after it.
 */
export function dropInConflicts(
  others: readonly ServerConfiguration[],
  isAfter: (path: string) => boolean,
): readonly string[] {
  return others.flatMap(({ path, text }) => {
    const settings = settingsOf(text);
    if (!settings) return [`${path} is no YAML with settings: k3s does not read it either`];
    return Object.entries(settings).flatMap(([key, value]) => {
      const name = key.replace(/\+$/, '');
      if (name !== ARGUMENTS) return [];
      const refused = wordsOf(value).filter((word) =>
        /^(--)?authorization-(config|mode|webhook-)/.test(word),
      );
      return [
        ...refused.map(
          (word) => `${path} has ${word}, which excludes our authorization-config: remove it there`,
        ),
        ...(isAfter(path) && !key.endsWith('+')
          ? [`${path} is read later and replaces the arguments of the drop-in: write ${ARGUMENTS}+ there`]
          : []),
      ];
    });
  });
}

function settingsOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = parse(text);
    if (value === null) return {};
    return typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

const wordsOf = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : [value]).filter((word) => typeof word === 'string');
