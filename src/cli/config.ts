import { Command } from 'commander';
import { Secret } from '#base';
import { type ResolvedSetting, redact, type Settings } from '#infrastructure';
import { missingDevnet } from './devnet-package.ts';
import { isServiceLink } from './foreign-settings.ts';
import { type Io, table, toJson } from './io.ts';
import { pluginEntries } from './plugin-settings.ts';
import { loadGatewaySettings, loadWorkerSettings, settingWarnings, type WorkerSettings } from './settings.ts';

interface ConfigOptions {
  readonly config?: string;
  readonly check?: boolean;
}

/** `k3s-daas config`: every setting with its value and its origin; secrets are masked. Nothing is started. */
export function configCommand(io: Io): Command {
  return new Command('config')
    .description(
      'Print every setting with its value and where it came from (flag > environment > file > default). Secrets are masked. Exits with 78 if a setting is wrong.',
    )
    .option(
      '-c, --config <file>',
      'read this file (default: k3s-daas.{json,yaml} in /etc/k3s-daas; users other than root: first here)',
    )
    .option('--check', 'also load the plugins and check their configurations')
    .option('--json', 'one JSON object on stdout')
    .action(async (options: ConfigOptions) => {
      const settings = await load(options);
      for (const warning of await settingWarnings(settings)) io.warn(warning);
      const missing = await missingDevnet(settings);
      if (missing) io.warn(missing.message);
      if (options.check) await checkPlugins(settings);
      const shown = settings.rows.map((row) => ({ ...row, shown: mask(row) }));
      io.result(
        {
          file: settings.file ?? null,
          settings: Object.fromEntries(
            shown.map((row) => [row.name, { value: row.shown ?? null, origin: row.origin }]),
          ),
        },
        table([
          ['SETTING', 'VALUE', 'ORIGIN'],
          ...shown.map((row) => [row.name, row.shown === undefined ? '-' : asText(row.shown), row.origin]),
        ]),
      );
    });
}

/** The gateway's section is checked when there is one; what the gateway is made of is loaded only then. */
async function load({ config }: ConfigOptions): Promise<Settings<WorkerSettings>> {
  const sources = { file: config };
  const settings = await loadWorkerSettings(sources);
  const isGateway =
    settings.value.gateway !== undefined ||
    Object.entries(process.env).some(
      ([name, value = '']) => name.startsWith('K3S_DAAS_GATEWAY_') && !isServiceLink(name, value),
    );
  return isGateway ? loadGatewaySettings(sources) : settings;
}

/** Finds every plugin and validates its configuration, as a start would; no plugin's `setup` runs. */
async function checkPlugins(settings: Settings<WorkerSettings>): Promise<void> {
  const [{ validatePlugins }, { builtIns }] = await Promise.all([import('#host'), import('#plugins')]);
  // Which services a host offers is known to the host alone.
  const services = { missing: () => [] };
  await validatePlugins(pluginEntries(settings), { builtIns, directory: settings.directory }, services);
}

function mask({ value, isSecret }: ResolvedSetting): unknown {
  if (value === undefined) return undefined;
  return isSecret || value instanceof Secret ? '[secret]' : maskNamed(value);
}

const secretName = /key$|secret|token|password|credential/i;

/** A plugin's configuration may hold secrets that only the plugin knows of: what is called one is masked as one. */
function maskNamed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskNamed);
  if (typeof value !== 'object' || value === null || value instanceof Secret) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      secretName.test(name) && typeof inner === 'string' ? '[secret]' : maskNamed(inner),
    ]),
  );
}

const widest = 80;

function asText(value: unknown): string {
  const isPlain = typeof value === 'string' || typeof value === 'bigint';
  const text = redact(isPlain ? String(value) : toJson(value));
  return text.length > widest ? `${text.slice(0, widest - 1)}…` : text;
}
