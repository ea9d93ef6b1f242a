import { ConfigurationError, messageOf } from '#base';
import type { Plugin, StandardIssue } from '#plugin';
import { type DiscoveryOptions, discoverPlugin, type PluginEntry } from './discovery.ts';
import { orderPlugins } from './order.ts';
import type { ServiceContainer } from './plugin-services.ts';

/** A plugin that was found, with its parsed configuration. */
export interface ValidPlugin {
  readonly name: string;
  readonly after: readonly string[] | undefined;
  readonly plugin: Plugin;
  readonly entry: PluginEntry;
  readonly config: unknown;
}

type Offered = Pick<ServiceContainer, 'missing'>;

/**
 * Finds every plugin and validates every configuration; no plugin's `setup` runs. The result is in the order of setting up.
 *
 * @throws `DAAS_PLUGINS_INVALID` (exit 78) with all problems at once, also in `details.problems`.
 */
export async function validatePlugins(
  entries: readonly PluginEntry[],
  discovery: DiscoveryOptions,
  services: Offered,
): Promise<readonly ValidPlugin[]> {
  const problems: string[] = [];
  const found: ValidPlugin[] = [];
  for (const [index, entry] of entries.entries()) {
    const place = `plugins[${index}] (use: ${JSON.stringify(entry.use)})`;
    const judged = await validateEntry(entry, discovery, services);
    const isTwice = found.some(({ name }) => name === judged.valid?.name);
    const twice = isTwice ? [`the plugin '${judged.valid?.name}' is listed twice: remove one`] : [];
    problems.push(...[...twice, ...judged.problems].map((problem) => `${place}: ${problem}`));
    if (judged.valid) found.push(judged.valid);
  }
  const ordering = orderPlugins(found);
  if (ordering.kind === 'cycle')
    problems.push(`plugins wait for each other in a circle: ${ordering.names.join(' → ')}`);
  if (problems.length > 0 || ordering.kind === 'cycle') throw pluginsInvalid(problems);
  return ordering.items;
}

async function validateEntry(
  entry: PluginEntry,
  discovery: DiscoveryOptions,
  services: Offered,
): Promise<{ readonly valid: ValidPlugin | undefined; readonly problems: readonly string[] }> {
  let plugin: Plugin;
  try {
    plugin = await discoverPlugin(entry, discovery);
  } catch (error) {
    return { valid: undefined, problems: [messageOf(error)] };
  }
  const missing = services
    .missing(plugin.needs ?? {})
    .map((name) => `it needs the service '${name}', which this host does not offer`);
  const parsed = await parseConfig(plugin, entry.config ?? {});
  const { name, after } = plugin;
  return {
    valid: { name, after, plugin, entry, config: parsed.value },
    problems: [...missing, ...parsed.problems.map((problem) => `config${problem}`)],
  };
}

async function parseConfig(
  plugin: Plugin,
  config: unknown,
): Promise<{ readonly value: unknown; readonly problems: readonly string[] }> {
  try {
    const result = await plugin.config['~standard'].validate(config);
    return result.issues
      ? { value: undefined, problems: result.issues.map(describeIssue) }
      : { value: result.value, problems: [] };
  } catch (error) {
    return { value: undefined, problems: [`: the schema of '${plugin.name}' failed: ${messageOf(error)}`] };
  }
}

/** `.stakeMist: Invalid input` */
function describeIssue({ path, message }: StandardIssue): string {
  const place = (path ?? [])
    .map((segment) => (typeof segment === 'object' ? segment.key : segment))
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('');
  return `${place}: ${message}`;
}

function pluginsInvalid(problems: readonly string[]): ConfigurationError {
  const list = problems.map((problem) => `  - ${problem}`).join('\n');
  return new ConfigurationError(
    'DAAS_PLUGINS_INVALID',
    problems.length === 1 ? (problems[0] ?? '') : `${problems.length} problems with the plugins:\n${list}`,
    { details: { problems } },
  );
}
