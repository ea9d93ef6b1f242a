import { distance } from 'fastest-levenshtein';
import { ConfigurationError } from '#base';

const PREFIX = 'INSTALL_K3S_DAAS_';

/** What k3s' installer calls INSTALL_K3S_…; those of deploy/install.sh alone are known here too, and ignored. */
const known = {
  EXEC: 'flags of `k3s agent` for the unit, as one text',
  POOL_FILE: 'the file that `k3s-daas token pool make` wrote for this machine',
  SKIP_DOWNLOAD: 'true: the k3s binary is there already',
  SKIP_START: 'true: install, and start nothing',
  SKIP_ENABLE: 'true: not at boot',
  BIN_DIR: 'where k3s and its tools are put',
  K3S_VERSION: 'the k3s to fetch where there is none',
  K3S_URL: 'a mirror of the k3s releases',
  K3S_SHA256: 'the SHA-256 of the k3s binary',
  ARTIFACT: 'install.sh: a release on this machine',
  VERSION: 'install.sh: the release to fetch',
  URL: 'install.sh: where releases are',
  SHA256: 'install.sh: the SHA-256 of the release',
  DIR: 'install.sh: where the program is put',
  PROGRAM: 'install.sh, in a dry run: where the launcher would be',
} as const;

type Name = keyof typeof known;

export interface InstallVariables {
  text(name: Name): string | undefined;
  flag(name: Name): boolean;
}

/** Throws `DAAS_INSTALL_VARIABLE_UNKNOWN` for a name that nothing reads: a misspelled one would be ignored otherwise. */
export function installVariables(
  environment: Readonly<Record<string, string | undefined>>,
): InstallVariables {
  for (const variable of Object.keys(environment)) {
    if (!variable.startsWith(PREFIX) || Object.hasOwn(known, variable.slice(PREFIX.length))) continue;
    const nearest = Object.keys(known).toSorted(
      (one, other) => distance(PREFIX + one, variable) - distance(PREFIX + other, variable),
    )[0];
    throw new ConfigurationError(
      'DAAS_INSTALL_VARIABLE_UNKNOWN',
      `${variable} (environment) is not a variable of the installer: did you mean ${PREFIX}${nearest}?`,
      { details: { variable } },
    );
  }
  const text = (name: Name) => environment[PREFIX + name] || undefined;
  return {
    text,
    flag(name) {
      const value = text(name) ?? 'false';
      if (value === 'true' || value === 'false') return value === 'true';
      throw new ConfigurationError(
        'DAAS_INSTALL_VARIABLE_UNKNOWN',
        `${PREFIX}${name} is '${value}' (environment): expected true or false`,
        { details: { variable: PREFIX + name } },
      );
    },
  };
}
