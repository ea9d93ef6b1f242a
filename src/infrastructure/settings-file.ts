import { lstatSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { cosmiconfig, defaultLoaders, type Loader } from 'cosmiconfig';
import { parse as parseYaml } from 'yaml';
import { ConfigurationError, messageOf } from '#base';
import { readTrustedText } from './trusted-file.ts';

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
  let content: unknown;
  try {
    // Judged and read first; cosmiconfig then chooses the parser and is given this text, whatever the path holds by then.
    const text = isKnownKind(path) ? await readTrustedText(path, { what: 'the configuration', origin }) : '';
    const found = await explorerOf(text).load(path);
    content = found?.config ?? {};
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

  function explorerOf(text: string) {
    const yaml: Loader = () => parseYamlText(text);
    const refuse: Loader = () => {
      throw new ConfigurationError(
        'DAAS_CONFIG_UNREADABLE',
        `the configuration ${path} (${origin}) is neither .json nor .yaml: no other kind of file is read`,
      );
    };
    // JSON and YAML alone: reading a configuration must never run code.
    const others = Object.fromEntries(['noExt', '.js', '.mjs', '.cjs', '.ts'].map((kind) => [kind, refuse]));
    const json: Loader = (filepath) => defaultLoaders['.json'](filepath, text);
    return cosmiconfig('k3s-daas', {
      loaders: { ...others, '.json': json, '.yaml': yaml, '.yml': yaml },
      searchStrategy: 'none',
      cache: false,
    });
  }
}

function isKnownKind(path: string): boolean {
  return ['.json', '.yaml', '.yml'].includes(extname(path));
}

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
