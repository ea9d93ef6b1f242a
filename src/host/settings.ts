import { dirname, resolve } from 'node:path';
import { cosmiconfig, defaultLoaders } from 'cosmiconfig';
import { closest, distance } from 'fastest-levenshtein';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { ConfigurationError, messageOf, Secret } from '#base';
import { describeSettings, namesAt, type SettingKind, type SettingRow } from './settings-schema.ts';

/** Another name for a setting: a key at the top of the file, or an environment variable. */
export interface SettingAlias {
  readonly kind: 'key' | 'environment';
  readonly from: string;
  /** The setting's own name, `chain.endpoints`. */
  readonly to: string;
  /** From the old form to the new; `undefined`: as if it had not been given. */
  readonly convert?: (value: unknown) => unknown;
}

export interface SettingsOptions<T> {
  readonly schema: z.ZodType<T>;
  /** `K3S_DAAS_` */
  readonly environmentPrefix: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Variables with the prefix that are not settings: whole names, or beginnings that end with `*`. */
  readonly reserved?: readonly string[];
  readonly aliases?: readonly SettingAlias[];
  readonly flags?: readonly FlagValue[];
  /** The file to read, and who named it (`--config`); without one the directories are searched. */
  readonly file?: { readonly path: string; readonly origin: string } | undefined;
  /** Searched in this order for `k3s-daas.{json,yaml,yml}`; the first file found is the one. */
  readonly directories: readonly string[];
  /** Values that depend on others or on the machine, by name; asked after everything else was read. */
  readonly defaults?: (given: (name: string) => unknown) => Readonly<Record<string, DefaultValue>>;
}

export interface FlagValue {
  readonly name: string;
  readonly value: unknown;
  /** `--node-name` */
  readonly flag: string;
}

export interface DefaultValue {
  readonly value: unknown;
  /** `default (host name)` */
  readonly origin: string;
}

export interface Settings<T> {
  readonly value: T;
  /** The file that was read. */
  readonly file: string | undefined;
  /** Relative paths in the file are relative to it: the file's directory, or the working directory without one. */
  readonly directory: string;
  /** Every setting in the order of the schema; secrets as `Secret`. */
  readonly rows: readonly ResolvedSetting[];
}

export interface ResolvedSetting extends SettingRow {
  readonly value: unknown;
  /** `flag --node-id`, `environment SUI_RPC_ENDPOINT`, `file /etc/k3s-daas/k3s-daas.yaml (stake_amount)`, `default`. */
  readonly origin: string;
}

interface Given {
  readonly value: unknown;
  readonly origin: string;
  /** How the user named it. */
  readonly spelled: string;
}

const baseName = 'k3s-daas';

/**
 * Reads settings from flags, environment, one file and the schema's defaults, in that order of precedence. All problems of
 * all sources are told at once, in one `ConfigurationError` (`DAAS_CONFIG_INVALID`, exit 78) with `details.problems`: each
 * names the setting, its value (never a secret), where it came from, and what would be right.
 */
export async function loadSettings<T>(options: SettingsOptions<T>): Promise<Settings<T>> {
  const rows = describeSettings(options.schema, options.environmentPrefix);
  const problems: string[] = [];
  const document = await readDocument(options);
  const layers = [
    fromFlags(options, rows, problems),
    fromEnvironment(options, rows, problems),
    fromFile(options, document, rows, problems),
  ];
  const given = new Map<string, Given>();
  for (const layer of layers.toReversed()) for (const [name, value] of layer) given.set(name, value);
  for (const [name, value] of Object.entries(options.defaults?.((name) => given.get(name)?.value) ?? {}))
    if (!given.has(name)) given.set(name, { ...value, spelled: name });

  const parsed = options.schema.safeParse(nest(rows, given));
  if (!parsed.success)
    for (const issue of parsed.error.issues) problems.push(...describeIssue(issue, options, rows, given));
  if (problems.length > 0 || !parsed.success) throw invalid(problems);
  return {
    value: parsed.data,
    file: document?.path,
    directory: document ? dirname(document.path) : process.cwd(),
    rows: rows.map((row) => ({
      ...row,
      value: valueAt(parsed.data, row.path),
      origin: given.get(row.name)?.origin ?? 'default',
    })),
  };
}

interface Document {
  readonly path: string;
  readonly content: Readonly<Record<string, unknown>>;
}

async function readDocument<T>({ file, directories }: SettingsOptions<T>): Promise<Document | undefined> {
  // JSON and YAML alone: reading a configuration must never run code.
  const explorer = cosmiconfig(baseName, {
    searchPlaces: [`${baseName}.json`, `${baseName}.yaml`, `${baseName}.yml`],
    loaders: {
      '.json': defaultLoaders['.json'],
      '.yaml': loadYaml,
      '.yml': loadYaml,
      noExt: refuseExtension,
      '.js': refuseExtension,
      '.mjs': refuseExtension,
      '.cjs': refuseExtension,
      '.ts': refuseExtension,
    },
    searchStrategy: 'none',
    cache: false,
  });
  try {
    if (file) return toDocument(await explorer.load(resolve(file.path)), file.origin);
    for (const directory of directories) {
      const found = await explorer.search(resolve(directory));
      if (found) return toDocument(found, 'found by search');
    }
    return undefined;
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    const where = file ? `${resolve(file.path)} (${file.origin})` : directories.join(', ');
    throw new ConfigurationError(
      'DAAS_CONFIG_UNREADABLE',
      `the configuration ${where} cannot be read as JSON or YAML: ${withoutQuotes(cause)}`,
    );
  }
}

/** YAML 1.2, in which `0x…` stays the text it is: ids are written so, and a number would lose their digits. */
function loadYaml(_path: string, text: string): unknown {
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

function refuseExtension(path: string): never {
  throw new ConfigurationError(
    'DAAS_CONFIG_UNREADABLE',
    `the configuration ${path} is neither .json nor .yaml: no other kind of file is read`,
  );
}

function toDocument(
  found: { readonly config: unknown; readonly filepath: string; readonly isEmpty?: boolean } | null,
  origin: string,
): Document | undefined {
  if (!found) return undefined;
  const content: unknown = found.isEmpty ? {} : (found.config ?? {});
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new ConfigurationError(
      'DAAS_CONFIG_UNREADABLE',
      `the configuration ${found.filepath} (${origin}) is not an object of settings`,
    );
  return { path: found.filepath, content: content as Record<string, unknown> };
}

function fromFlags<T>(
  { flags = [] }: SettingsOptions<T>,
  rows: readonly SettingRow[],
  problems: string[],
): ReadonlyMap<string, Given> {
  const layer = new Map<string, Given>();
  for (const { name, value, flag } of flags) {
    const row = rows.find((other) => other.name === name);
    if (!row) throw new Error(`the flag ${flag} is for the setting '${name}', which there is not`);
    const given = typeof value === 'string' ? fromText(value, row.kind) : value;
    put(layer, name, { value: given, origin: `flag ${flag}`, spelled: flag }, row, problems);
  }
  return layer;
}

function fromEnvironment<T>(
  { environment, environmentPrefix, reserved = [], aliases = [] }: SettingsOptions<T>,
  rows: readonly SettingRow[],
  problems: string[],
): ReadonlyMap<string, Given> {
  const layer = new Map<string, Given>();
  const isReserved = (variable: string) =>
    reserved.some((name) =>
      name.endsWith('*') ? variable.startsWith(name.slice(0, -1)) : variable === name,
    );
  for (const [variable, text] of Object.entries(environment)) {
    // Empty is unset, as in systemd units and compose files.
    if (text === undefined || text === '') continue;
    const origin = `environment ${variable}`;
    for (const alias of aliases) {
      if (alias.kind !== 'environment' || alias.from !== variable) continue;
      const row = expectRow(rows, alias.to);
      const value = (alias.convert ?? ((value) => fromText(String(value), row.kind)))(text);
      put(layer, alias.to, { value, origin, spelled: variable }, row, problems);
    }
    if (!variable.startsWith(environmentPrefix) || isReserved(variable)) continue;
    const row = rows.find((other) => other.environment === variable);
    if (row) {
      put(layer, row.name, { value: fromText(text, row.kind), origin, spelled: variable }, row, problems);
    } else {
      const nearest = nearestOf(
        variable,
        rows.map((other) => other.environment),
      );
      problems.push(`${variable} (environment) is no setting${nearest}`);
    }
  }
  return layer;
}

function fromFile<T>(
  { schema, aliases = [] }: SettingsOptions<T>,
  document: Document | undefined,
  rows: readonly SettingRow[],
  problems: string[],
): ReadonlyMap<string, Given> {
  const layer = new Map<string, Given>();
  if (!document) return layer;
  const { path: file } = document;
  const keys = aliases.filter((alias) => alias.kind === 'key');

  function walk(content: Readonly<Record<string, unknown>>, path: readonly string[]): void {
    for (const [key, value] of Object.entries(content)) {
      const here = [...path, key];
      const name = here.join('.');
      const row = rows.find((other) => other.name === name);
      const alias = path.length === 0 ? keys.find((other) => other.from === key) : undefined;
      if (row) {
        put(layer, name, { value, origin: `file ${file}`, spelled: name }, row, problems);
      } else if (alias) {
        const converted = alias.convert ? alias.convert(value) : value;
        const origin = `file ${file} (${key})`;
        put(layer, alias.to, { value: converted, origin, spelled: key }, expectRow(rows, alias.to), problems);
      } else if (namesAt(schema, here) === undefined) {
        const names = namesAt(schema, path) ?? [];
        const known = path.length === 0 ? [...names, ...keys.map((other) => other.from)] : names;
        problems.push(`${name} (file ${file}) is no setting${nearestOf(key, known)}`);
      } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        walk(value as Record<string, unknown>, here);
      } else {
        const holdsSecret = rows.some((other) => other.isSecret && other.name.startsWith(`${name}.`));
        const shown = holdsSecret ? '[secret]' : show(value);
        problems.push(`${name} (file ${file}) must be an object of settings, it is ${shown}`);
      }
    }
  }
  walk(document.content, []);
  return layer;
}

/** Two names of one setting on one level are a contradiction unless they say the same. */
function put(
  layer: Map<string, Given>,
  name: string,
  given: Given,
  row: SettingRow,
  problems: string[],
): void {
  if (given.value === undefined) return;
  const other = layer.get(name);
  if (other && show(other.value) !== show(given.value)) {
    const [one, two] = row.isSecret ? ['[secret]', '[secret]'] : [show(other.value), show(given.value)];
    problems.push(
      `${name} is given twice: ${one} as ${other.spelled} (${other.origin}) and ${two} as ${given.spelled} (${given.origin}): remove one`,
    );
    return;
  }
  layer.set(name, given);
}

function expectRow(rows: readonly SettingRow[], name: string): SettingRow {
  const row = rows.find((other) => other.name === name);
  if (!row) throw new Error(`an alias is for the setting '${name}', which there is not`);
  return row;
}

/** The text of a flag or variable as a value; text that does not fit stays text, for the schema to refuse by name. */
function fromText(text: string, kind: SettingKind): unknown {
  switch (kind) {
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
    case 'boolean':
      return (
        ({ true: true, '1': true, yes: true, false: false, '0': false, no: false } as const)[
          text.toLowerCase()
        ] ?? text
      );
    case 'list':
      return text.trimStart().startsWith('[')
        ? parseJson(text)
        : text
            .split(',')
            .map((item) => item.trim())
            .filter((item) => item !== '');
    case 'json':
      return parseJson(text);
    case 'text':
      return text;
    default:
      return kind satisfies never;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function nest(rows: readonly SettingRow[], given: ReadonlyMap<string, Given>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const { name, path } of rows) {
    const value = given.get(name)?.value;
    if (value === undefined) continue;
    let here = root;
    for (const key of path.slice(0, -1)) {
      here[key] ??= {};
      here = here[key] as Record<string, unknown>;
    }
    here[path.at(-1) as string] = value;
  }
  return root;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<PropertyKey, unknown>)[key];
  }
  return here;
}

type Issue = z.core.$ZodIssue;

function describeIssue<T>(
  issue: Issue,
  { schema }: SettingsOptions<T>,
  rows: readonly SettingRow[],
  given: ReadonlyMap<string, Given>,
): readonly string[] {
  const name = dotted(issue.path);
  const row = rows.find(
    (other) => other.name === name || name.startsWith(`${other.name}.`) || name.startsWith(`${other.name}[`),
  );
  const source = row && given.get(row.name);
  if (issue.code === 'unrecognized_keys') {
    const known = namesAt(schema, issue.path) ?? [];
    return issue.keys.map((key) => {
      const place = name === '' ? key : `${name}.${key}`;
      return `${place} (${source?.origin ?? 'file'}) is no setting${nearestOf(key, known)}`;
    });
  }
  const fix = row?.description ? `. It is: ${row.description}` : '';
  if (!source || !row) {
    const where = row ? `: set it in the file or as ${row.environment}` : '';
    // A section, or what a check over several settings says.
    return [
      row ? `${name} is missing${where}${fix}` : `${name === '' ? '' : `${name}: `}${messageOfIssue(issue)}`,
    ];
  }
  const inner = valueAt(source.value, issue.path.slice(row.path.length));
  const value = row.isSecret ? '[secret]' : show(inner);
  return [`${name} is ${value} (${source.origin}): ${messageOfIssue(issue)}${fix}`];
}

/** Of a union's branches the message is that of the one that came furthest; zod's own is "Invalid input". */
function messageOfIssue(issue: Issue): string {
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input') return issue.message;
  const branches = issue.errors.map((branch) => branch.map((inner) => inner.message).join(', '));
  return branches.join(', or ') || issue.message;
}

function dotted(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('');
}

function nearestOf(name: string, known: readonly string[]): string {
  if (known.length === 0) return '';
  const nearest = closest(name, [...known]);
  const isNear = distance(name.toLowerCase(), nearest.toLowerCase()) <= Math.max(2, name.length / 2);
  return isNear ? `: did you mean ${nearest}?` : `; known here: ${known.join(', ')}`;
}

function show(value: unknown): string {
  if (value instanceof Secret) return value.toString();
  const text = JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'bigint' ? `${inner}` : inner,
  );
  return text === undefined ? 'undefined' : text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

function invalid(problems: readonly string[]): ConfigurationError {
  return new ConfigurationError(
    'DAAS_CONFIG_INVALID',
    problems.length === 1
      ? (problems[0] ?? '')
      : `${problems.length} problems with the configuration:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    { details: { problems } },
  );
}
