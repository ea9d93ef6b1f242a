import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError, messageOf } from '#base';
import { readTrustedText } from '#infrastructure';
import type { FlagWord } from './k3s-flags.ts';
import { parseK3sYaml, type YamlEntry } from './k3s-yaml.ts';

interface Settings {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The config file that k3s reads; undefined: none. k3s does not use its flag parser for this: it searches argv for the flag,
 * takes the first match, and the environment variable wins over it.
 */
export function configFilePath({ argv, env }: Settings): string | undefined {
  const fromVariable = env.K3S_CONFIG_FILE || undefined;
  const path = fromVariable ?? configWord(argv) ?? '/etc/rancher/k3s/config.yaml';
  if (/^https?:/i.test(path))
    throw new ConfigurationError(
      'DAAS_K3S_CONFIG_REMOTE',
      // The rest of the line may hold a password or a key.
      `the k3s config file is a URL on ${URL.parse(path)?.host ?? 'some host'} (${fromVariable === undefined ? '--config in agent.args' : 'K3S_CONFIG_FILE'}): what it sets cannot be checked beforehand; put it in a local file`,
    );
  return path === '' ? undefined : path;
}

function configWord(argv: readonly string[]): string | undefined {
  for (const [index, word] of argv.entries()) {
    if (word === '--config' || word === '-c') return argv[index + 1] ?? '';
    const value = /^(?:--config|-c)=(.*)$/s.exec(word)?.[1];
    if (value !== undefined) return value;
  }
  return undefined;
}

/**
 * The flags that k3s makes of its config file and of the files beside it (`<path>.d`, by name): of two equal keys the last
 * counts, `key+` adds to what is there.
 */
export async function readK3sConfig(path: string | undefined): Promise<FlagWord[]> {
  if (path === undefined) return [];
  const merged = new Map<string, YamlEntry & { readonly file: string }>();
  for (const file of await configFiles(path))
    for (const entry of await readEntries(file)) {
      const key = entry.key.replace(/\+$/, '');
      const before = merged.get(key);
      const isAdded = before !== undefined && key !== entry.key;
      const added = isAdded && { values: [...itemsOf(before), ...itemsOf(entry)], isList: true };
      merged.set(key, { ...entry, ...added, file });
    }
  return [...merged].flatMap(([key, { values, file }]) =>
    values.map((value) => ({
      text: `${key.length === 1 ? '-' : '--'}${key}=${value}`,
      origin: `'${key}' in ${file}`,
      fix: `remove the key from ${file}`,
    })),
  );
}

function itemsOf({ values, isNull }: YamlEntry): readonly string[] {
  return isNull ? [] : values;
}

async function configFiles(path: string): Promise<string[]> {
  try {
    const directory = `${path}.d`;
    const entries = (await ifThere(() => readdir(directory, { withFileTypes: true }))) ?? [];
    const dropIns = entries
      .filter((entry) => !entry.isDirectory() && /\.ya?ml$/i.test(entry.name))
      .map(({ name }) => Buffer.from(name))
      .sort((one, other) => Buffer.compare(one, other))
      .map((name) => join(directory, name.toString()));
    return (await ifThere(() => stat(path))) ? [path, ...dropIns] : dropIns;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function readEntries(file: string): Promise<YamlEntry[]> {
  try {
    return parseK3sYaml(await readTrustedText(file, { what: 'the k3s config file' }));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_K3S_CONFIG_UNREADABLE',
    `the k3s config file ${file} cannot be read: ${messageOf(cause)}`,
    { cause },
  );
}

async function ifThere<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
