import { dirname } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { ConfigurationError, maskUserInfo, Secret } from '#base';
import { type Document, findDocument, readDocument, type SettingsFile } from './settings-file.ts';
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
  readonly file?: SettingsFile | undefined;
  /** Searched in this order for `k3s-daas.{json,yaml,yml}`; the first file found is the one. */
  readonly directories: readonly string[];
  /** Not searched, but a file there may be what the user meant: told beside problems. */
  readonly unsearchedDirectories?: readonly string[];
  /** Variables that are neither settings nor mistakes, told apart by their form. */
  readonly isForeignVariable?: (name: string, value: string) => boolean;
  /** What a file with unknown keys may be instead, from its keys at the top. */
  readonly describeForeignFile?: (keys: readonly string[]) => string | undefined;
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
  /** Variables of the environment that were left out as `isForeignVariable`. */
  readonly foreignVariables: readonly string[];
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

/**
 * Reads settings from flags, environment, one file and the schema's defaults, in that order of precedence. All problems of
 * all sources are told at once, in one `ConfigurationError` (`DAAS_CONFIG_INVALID`, exit 78) with `details.problems`: each
 * names the setting, its value (never a secret), where it came from, and what would be right.
 */
export async function loadSettings<T>(options: SettingsOptions<T>): Promise<Settings<T>> {
  const rows = describeSettings(options.schema, options.environmentPrefix);
  const problems: string[] = [];
  const document = await readDocument(options);
  const foreignVariables = foreignIn(options);
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
  if (problems.length > 0 || !parsed.success) {
    const left = document ? undefined : findDocument(options.unsearchedDirectories ?? []);
    if (left !== undefined)
      problems.push(
        `${left} was not read: root searches no working directory, in which others may have put it; if it is meant, pass --config ${left}`,
      );
    throw invalid(problems);
  }
  return {
    value: parsed.data,
    file: document?.path,
    directory: document ? dirname(document.path) : process.cwd(),
    foreignVariables,
    rows: rows.map((row) => ({
      ...row,
      value: valueAt(parsed.data, row.path),
      origin: given.get(row.name)?.origin ?? 'default',
    })),
  };
}

function foreignIn<T>({ environment, isForeignVariable }: SettingsOptions<T>): readonly string[] {
  return Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && isForeignVariable?.(name, value) ? [name] : [],
  );
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
  { environment, environmentPrefix, reserved = [], aliases = [], isForeignVariable }: SettingsOptions<T>,
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
    if (text === undefined || text === '' || isForeignVariable?.(variable, text)) continue;
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
      problems.push(`${variable} (environment) is not a setting${nearest}`);
    }
  }
  return layer;
}

function fromFile<T>(
  { schema, aliases = [], describeForeignFile }: SettingsOptions<T>,
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
        problems.push(`${name} (file ${file}) is not a setting${nearestOf(key, known)}`);
      } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        walk(value as Record<string, unknown>, here);
      } else {
        const holdsSecret = rows.some((other) => other.isSecret && other.name.startsWith(`${name}.`));
        const shown = holdsSecret ? '[secret]' : show(value);
        problems.push(`${name} (file ${file}) must be an object of settings, it is ${shown}`);
      }
    }
  }
  const before = problems.length;
  walk(document.content, []);
  const foreign = describeForeignFile?.(Object.keys(document.content));
  // One sentence in place of one for each key.
  if (problems.length > before && foreign !== undefined)
    problems.splice(before, Infinity, `${file} ${foreign}`);
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
      return `${place} (${source?.origin ?? 'file'}) is not a setting${nearestOf(key, known)}`;
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
  if (text === undefined) return 'undefined';
  const shown = maskUserInfo(text);
  return shown.length > 120 ? `${shown.slice(0, 117)}…` : shown;
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
