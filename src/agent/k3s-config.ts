import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ConfigurationError, messageOf } from '#base';
import type { FileSetting } from './arguments.ts';

/** Reads k3s' config file and the files beside it (`<path>.d/*.yaml`, by name), in the order in which k3s applies them. */
export async function readK3sConfig(path: string): Promise<FileSetting[]> {
  const settings: FileSetting[] = [];
  for (const file of [path, ...(await dropIns(`${path}.d`))]) {
    const document = await readDocument(file);
    for (const [key, value] of Object.entries(document))
      settings.push({ file, key, values: (Array.isArray(value) ? value : [value]).map(String) });
  }
  return settings;
}

async function dropIns(directory: string): Promise<string[]> {
  const names = await ifThere(() => readdir(directory));
  return (names ?? [])
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(directory, name));
}

async function readDocument(file: string): Promise<Record<string, unknown>> {
  try {
    const text = await ifThere(() => readFile(file, 'utf8'));
    // A pretty message quotes the lines around the mistake, and one of them may be a token.
    const document: unknown = parse(text ?? '', { prettyErrors: false }) ?? {};
    if (typeof document !== 'object' || document === null || Array.isArray(document))
      throw new Error('it is not a mapping of flags to values');
    return document as Record<string, unknown>;
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_K3S_CONFIG_UNREADABLE',
      `the k3s config file ${file} cannot be read: ${messageOf(cause)}`,
      { cause },
    );
  }
}

async function ifThere<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
