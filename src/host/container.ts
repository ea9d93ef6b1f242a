import 'reflect-metadata';
import { type DependencyContainer, container as empty } from 'tsyringe';
import { ConfigurationError } from '#base';
import type { Needs, Services, Token } from '#plugin';

/** A service and what it is named by. */
export interface ServiceBinding {
  readonly key: symbol;
  readonly name: string;
  /** Made anew for each plugin that asks, with the plugin's name. */
  readonly make: (plugin: string) => unknown;
}

/** Every plugin that asks gets this very object. */
export function bind<T>(token: Token<T>, service: T): ServiceBinding {
  return { key: token.key, name: token.name, make: () => service };
}

/** Every plugin that asks gets one of its own. */
export function bindPerPlugin<T>(token: Token<T>, make: (plugin: string) => T): ServiceBinding {
  return { key: token.key, name: token.name, make };
}

/**
 * The host's services. A plugin gets a container of its own, a fresh child of the empty global one (the only way to make
 * one), which holds what the plugin listed in `needs` and nothing else: it cannot reach what it did not ask for.
 *
 * This file alone knows tsyringe. `dispose()` is never called: tsyringe disposes all at once, in order of construction,
 * and a child disposes what its parent owns; the plugins' lifetimes release instead, in reverse order.
 */
export interface ServiceContainer {
  /** The names of `needs` that nobody offers. */
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
  const host: DependencyContainer = empty.createChildContainer();
  for (const binding of bindings) host.register(binding.key, { useValue: binding.make });

  return {
    missing: (needs) =>
      Object.values(needs)
        .filter((token) => !offered.has(token.key))
        .map((token) => token.name),
    servicesFor(plugin, needs) {
      const own = empty.createChildContainer();
      for (const token of Object.values(needs)) {
        if (!host.isRegistered(token.key))
          throw new ConfigurationError(
            'DAAS_PLUGIN_NEEDS_UNKNOWN',
            `the plugin '${plugin}' needs '${token.name}', which this host does not offer`,
          );
        const make = host.resolve<(plugin: string) => unknown>(token.key);
        own.register(token.key, { useFactory: () => make(plugin) });
      }
      return Object.fromEntries(
        Object.entries(needs).map(([name, token]) => [name, own.resolve(token.key)]),
      ) as Services<typeof needs>;
    },
  };
}
