import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** One input of `k3s agent` and what a real k3s takes from it (docs/testing.md says how the table is taken). */
export interface SettingsRow {
  readonly name: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly directories?: readonly string[];
  /** Path to target. */
  readonly links?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
  readonly takes?: {
    readonly flags: Readonly<Record<string, string | number | boolean | readonly string[]>>;
    readonly dataDir: string;
    readonly ignoredWords?: readonly string[];
  };
  /** k3s' last words. */
  readonly refuses?: string;
  readonly helps?: boolean;
}

const file = join(import.meta.dirname, '..', '..', 'integration', 'standin', 'data', 'k3s-settings.json');
export const settingsTable = (JSON.parse(readFileSync(file, 'utf8')) as { rows: readonly SettingsRow[] })
  .rows;

export interface LaidOut extends AsyncDisposable {
  readonly directory: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Lays a row out in a directory of its own. */
export async function layOut(row: SettingsRow): Promise<LaidOut> {
  const directory = await mkdtemp(join(tmpdir(), 'row-'));
  for (const path of row.directories ?? []) await mkdir(join(directory, path), { recursive: true });
  for (const [path, text] of Object.entries(row.files ?? {})) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
  for (const [path, target] of Object.entries(row.links ?? {})) await symlink(target, join(directory, path));
  const here = (text: string) => text.replaceAll('{dir}', directory);
  const env = Object.entries(row.env ?? {}).map(([name, value]) => [name, here(value)] as const);
  return {
    directory,
    argv: row.argv.map(here),
    env: { HOME: '/home/of-row', ...Object.fromEntries(env) },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}
