import { lstatSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { ConfigurationError, messageOf, readTrustedText } from '#base';

export interface SettingsFile {
  readonly path: string;
  /** Who named it: `--config`. */
  readonly origin: string;
}

const fileNames = ['k3s-daas.json', 'k3s-daas.yaml', 'k3s-daas.yml'];

export interface Document {
  readonly path: string;
  readonly content: Readonly<Record<string, unknown>>;
}

/** The file that is named, or the first that is found. */
export async function readDocument({
  file,
  directories,
}: {
  readonly file?: SettingsFile | undefined;
  readonly directories: readonly string[];
}): Promise<Document | undefined> {
  if (file) return readFrom(resolve(file.path), file.origin);
  const found = findDocument(directories);
  return found === undefined ? undefined : readFrom(found, 'found by search');
}

/** The first file of the names that are searched for. Whatever is there is the one, and is told when it cannot be read. */
export function findDocument(directories: readonly string[]): string | undefined {
  return directories.flatMap((directory) => fileNames.map((name) => resolve(directory, name))).find(isThere);
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // In a directory that we may not look into: reading it says so.
    return true;
  }
}

async function readFrom(path: string, origin: string): Promise<Document> {
  const parseText = parsers[extname(path)];
  // JSON and YAML alone: reading a configuration must never run code.
  if (!parseText)
    throw new ConfigurationError(
      'DAAS_CONFIG_UNREADABLE',
      `the configuration ${path} (${origin}) is neither .json nor .yaml: no other kind of file is read`,
    );
  let content: unknown;
  try {
    const text = await readTrustedText(path, { what: 'the configuration', origin });
    content = text.trim() === '' ? {} : (parseText(text) ?? {});
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_CONFIG_UNREADABLE',
      `the configuration ${path} (${origin}) cannot be read as JSON or YAML: ${withoutQuotes(cause)}`,
    );
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new ConfigurationError(
      'DAAS_CONFIG_UNREADABLE',
      `the configuration ${path} (${origin}) is not an object of settings`,
    );
  return { path, content: content as Record<string, unknown> };
}

const parsers: Readonly<Record<string, (text: string) => unknown>> = {
  '.json': (text) => JSON.parse(text) as unknown,
  '.yaml': parseYamlText,
  '.yml': parseYamlText,
};

/** YAML 1.2, in which `0x…` stays the text it is: ids are written so, and a number would lose their digits. */
function parseYamlText(text: string): unknown {
  return parseYaml(text, {
    merge: true,
    customTags: (tags) => tags.filter((tag) => typeof tag === 'string' || tag.format !== 'HEX'),
  });
}

/** What a parser says without the lines around the mistake, which it likes to quote: one of them may be a key. */
function withoutQuotes(cause: unknown): string {
  const { syscall, linePos } = cause as {
    syscall?: string;
    linePos?: ReadonlyArray<{ line: number; col: number }>;
  };
  if (syscall !== undefined) return messageOf(cause);
  const [at] = linePos ?? [];
  const place = at
    ? `line ${at.line} column ${at.col}`
    : /\bline \d+ column \d+|(?<=\()\d+:\d+(?=\))/.exec(messageOf(cause))?.[0];
  return place === undefined ? 'it breaks off or is malformed' : `it is malformed at ${place}`;
}
