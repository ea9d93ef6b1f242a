import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigurationError } from '#base';
import { integrityOf, packageDirectory } from '#host';
import { builtIns } from '#plugins';
import { configurationDirectory } from './configuration-file.ts';
import type { Io } from './io.ts';

/** `k3s-daas plugins`: what an operator needs to know about an installed plugin. None of its code runs. */
export function pluginsCommand(io: Io): Command {
  return new Command('plugins').description('Inspect installed plugins; none of their code runs.').addCommand(
    new Command('integrity')
      .description(
        'Print the integrity of an installed package, for the key "integrity" of its entry in "plugins". It covers all files of the package and of the packages it depends on.',
      )
      .argument('<use>', 'npm name, or path of the package, as in the configuration')
      .option('-c, --config <file>', 'the configuration; names and paths are resolved from its directory')
      .option('--json', 'one JSON object on stdout')
      .action((use: string, options: { readonly config?: string }) =>
        printIntegrity(io, use, options.config),
      ),
  );
}

function printIntegrity(io: Io, use: string, file: string | undefined): void {
  const directory = configurationDirectory(file);
  const place = Object.hasOwn(builtIns, use) ? undefined : packageDirectory({ use }, { directory, builtIns });
  // Without a manifest it is any directory, and every file below it would be read.
  if (place === undefined || !existsSync(join(place, 'package.json')))
    throw new ConfigurationError(
      'DAAS_PLUGIN_INTEGRITY',
      `'${use}' is not a package: integrity is for an npm name, or for the directory of a package`,
      { details: { use } },
    );
  const integrity = integrityOf(place);
  io.result({ use, directory: place, integrity }, integrity);
}
