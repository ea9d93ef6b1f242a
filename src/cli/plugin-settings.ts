import { ConfigurationError, maskUserInfo } from '#base';
import type { PluginEntry } from '#host';
import type { ResolvedSetting, Settings } from '#infrastructure';
import { configAliases } from '#plugins';

/** The part of the configuration that these functions read. */
interface WithPlugins {
  readonly plugins: ReadonlyArray<{
    readonly use: string;
    readonly config?: Readonly<Record<string, unknown>> | undefined;
    readonly onFailure?: 'abort' | 'isolate' | undefined;
    readonly integrity?: string | undefined;
  }>;
}

/** A value for one key of a plugin's `config`, given outside of `plugins`. */
interface AliasValue {
  readonly plugin: string;
  readonly key: string;
  readonly value: unknown;
  /** How the user named it: `stake.amountMist`, `--stake-again`. */
  readonly spelled: string;
  readonly origin: string;
}

/**
 * Compares the settings that are other names for a plugin's own (`stake.amountMist` is `stakeMist` of `staking`) with that
 * plugin's `config`, and gives each of them one value and origin. All contradictions are reported at once.
 *
 * @throws `DAAS_CONFIG_INVALID` (exit 78): two values for one setting.
 */
export function withPluginAliases<T extends WithPlugins>(settings: Settings<T>): Settings<T> {
  const problems = aliasValues(settings).flatMap((alias) => problemOf(alias, settings));
  if (problems.length > 0) throw aliasesWrong(problems);
  return { ...settings, rows: settings.rows.map((row) => rowWithAlias(row, settings)) };
}

/** The plugins as the host loads them, with the settings that have another name and the flags in their `config`. */
export function pluginEntries(
  settings: Settings<WithPlugins>,
  { stakeAgain = false }: { readonly stakeAgain?: boolean } = {},
): readonly PluginEntry[] {
  const flags: readonly AliasValue[] = stakeAgain
    ? [{ plugin: 'staking', key: 'stakeAgain', value: true, spelled: '--stake-again', origin: 'flag' }]
    : [];
  const problems = flags.flatMap((flag) => problemOf(flag, settings));
  if (problems.length > 0) throw aliasesWrong(problems);
  const aliases = [...aliasValues(settings), ...flags];
  return settings.value.plugins.map(({ config = {}, ...entry }) => {
    const added = aliases.filter(({ plugin, key }) => plugin === entry.use && !(key in config));
    return {
      ...entry,
      config: { ...config, ...Object.fromEntries(added.map(({ key, value }) => [key, value])) },
    };
  });
}

/** Values for a plugin that is not listed: without a word, an operator who replaces it would lose them. */
export function unusedAliasWarnings(settings: Settings<WithPlugins>): readonly string[] {
  const listed = new Set(settings.value.plugins.map(({ use }) => use));
  return aliasValues(settings)
    .filter(({ plugin }) => !listed.has(plugin))
    .map(
      ({ spelled, origin, key, plugin }) =>
        `${spelled} (${origin}) is not used: it is '${key}' of the plugin '${plugin}', which "plugins" does not list. Remove it, and configure the plugin that replaces '${plugin}'`,
    );
}

/** The aliases that are set to something. */
function aliasValues({ rows }: Settings<WithPlugins>): readonly AliasValue[] {
  return configAliases.flatMap(({ setting, plugin, key }) => {
    const row = rows.find(({ name }) => name === setting);
    if (row?.value === undefined || isFromPlugin(row)) return [];
    return [{ plugin, key, value: row.value, spelled: setting, origin: row.origin }];
  });
}

function problemOf(alias: AliasValue, settings: Settings<WithPlugins>): readonly string[] {
  const { plugin, key, value, spelled, origin } = alias;
  const own = ownValue({ plugin, key }, settings);
  if (!own || String(own.value) === String(value)) return [];
  return [
    `${spelled} and ${own.place} are one setting: ${shown(value)} (${origin}) and ${shown(own.value)} (${own.origin}): remove one`,
  ];
}

/** What the plugin's own entry says. */
function ownValue(
  { plugin, key }: { readonly plugin: string; readonly key: string },
  { value, rows }: Settings<WithPlugins>,
): { readonly value: unknown; readonly place: string; readonly origin: string } | undefined {
  const index = value.plugins.findIndex(({ use }) => use === plugin);
  const config = value.plugins[index]?.config;
  if (config?.[key] === undefined) return undefined;
  const origin = rows.find(({ name }) => name === 'plugins')?.origin ?? 'default';
  return { value: config[key], place: `plugins[${index}].config.${key}`, origin };
}

const fromPlugin = /\(plugins\[\d+\]\.config\.\w+\)$/;
const isFromPlugin = ({ origin }: ResolvedSetting) => fromPlugin.test(origin);

/** `k3s-daas config` shows the value that counts under the setting's name, wherever it was given. */
function rowWithAlias(row: ResolvedSetting, settings: Settings<WithPlugins>): ResolvedSetting {
  const alias = configAliases.find(({ setting }) => setting === row.name);
  const own = alias && row.value === undefined ? ownValue(alias, settings) : undefined;
  return own ? { ...row, value: own.value, origin: `${own.origin} (${own.place})` } : row;
}

function shown(value: unknown): string {
  return maskUserInfo(typeof value === 'string' ? JSON.stringify(value) : String(value));
}

function aliasesWrong(problems: readonly string[]): ConfigurationError {
  return new ConfigurationError('DAAS_CONFIG_INVALID', problems.join('\n'), { details: { problems } });
}
