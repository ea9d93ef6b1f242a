import { dirname, resolve } from 'node:path';
import { findDocument } from '#infrastructure';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a configuration is searched for, and where one that lies there is named and not read. */
export function searchPlaces(directories: readonly string[] | undefined): {
  readonly directories: readonly string[];
  readonly unsearchedDirectories: readonly string[];
} {
  // A configuration lists plugins, whose code runs: root takes none from the working directory.
  const isRoot = process.geteuid?.() === 0;
  return {
    directories: directories ?? (isRoot ? ['/etc/k3s-daas'] : ['.', '/etc/k3s-daas']),
    unsearchedDirectories: isRoot && directories === undefined ? ['.'] : [],
  };
}

/** The file that a flag or a variable names. */
export function namedFile(
  file: string | undefined,
  env: Environment,
): { path: string; origin: string } | undefined {
  if (file !== undefined) return { path: file, origin: '--config' };
  for (const variable of ['K3S_DAAS_CONFIG', 'STAKER_CONFIG_PATH']) {
    const path = env[variable];
    if (path) return { path, origin: `environment ${variable}` };
  }
  return undefined;
}

/** The directory that names and paths in the configuration are relative to. The file itself is not read. */
export function configurationDirectory(file: string | undefined, env: Environment = process.env): string {
  const path = namedFile(file, env)?.path ?? findDocument(searchPlaces(undefined).directories);
  return path === undefined ? process.cwd() : dirname(resolve(path));
}
