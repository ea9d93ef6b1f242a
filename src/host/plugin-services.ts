import { ConfigurationError } from '#base';
import type { Needs, Services, Token } from '#plugin';

/** A service that plugins may ask for. */
export interface ServiceBinding {
  readonly key: symbol;
  readonly name: string;
  /** Called for each plugin that asks, with the plugin's name. */
  readonly make: (plugin: string) => unknown;
}

/** Every plugin that asks gets this object. */
export function bind<T>(token: Token<T>, service: T): ServiceBinding {
  return { key: token.key, name: token.name, make: () => service };
}

/** Every plugin that asks gets an object of its own. */
export function bindPerPlugin<T>(token: Token<T>, make: (plugin: string) => T): ServiceBinding {
  return { key: token.key, name: token.name, make };
}

/** A plugin gets the services that it lists in `needs`, and cannot reach any other part of the host. */
export interface ServiceContainer {
  /** The names of `needs` that this host does not offer. */
  missing(needs: Needs): readonly string[];
  /** What a plugin asked for, under the names it gave. */
  servicesFor<N extends Needs>(plugin: string, needs: N): Services<N>;
}

export function createServiceContainer(bindings: readonly ServiceBinding[]): ServiceContainer {
  const offered = new Map<symbol, ServiceBinding>();
  for (const binding of bindings) {
    if (offered.has(binding.key)) throw new Error(`the service '${binding.name}' is bound twice`);
    offered.set(binding.key, binding);
  }
  const serviceFor = (plugin: string, { key, name }: Token<unknown>) => {
    const binding = offered.get(key);
    if (binding) return binding.make(plugin);
    throw new ConfigurationError(
      'DAAS_PLUGIN_NEEDS_UNKNOWN',
      `the plugin '${plugin}' needs '${name}', which this host does not offer`,
    );
  };
  return {
    missing: (needs) =>
      Object.values(needs)
        .filter((token) => !offered.has(token.key))
        .map((token) => token.name),
    servicesFor: (plugin, needs) =>
      Object.fromEntries(
        Object.entries(needs).map(([name, token]) => [name, serviceFor(plugin, token)]),
      ) as Services<typeof needs>,
  };
}
