import { FakeClock, RecordingLog } from 'k3s-daas/plugin/testing';
import { z } from 'zod';
import type { Log } from '#base';
import { definePlugin, HostClock, type Plugin } from '#plugin';
import { type CatalogOptions, defaultDeadlines, loadCatalog } from './catalog.ts';
import type { PluginEntry } from './discovery.ts';
import { createEventBus } from './events.ts';
import { createHealthRegistry } from './health.ts';
import { bind, createServiceContainer } from './plugin-services.ts';
import { defaultTaskPolicy } from './tasks.ts';

export const noConfig = z.strictObject({});

// biome-ignore lint/suspicious/noExplicitAny: plugins of any configuration and needs.
type AnyPlugin = Plugin<any, any>;

/** What a catalog of these plugins loads into, on a clock that the test moves. `load` takes all of them unless given others. */
export function makeWorld(
  plugins: Readonly<Record<string, AnyPlugin>>,
  changes: Partial<CatalogOptions> = {},
) {
  const clock = new FakeClock();
  const log = new RecordingLog();
  const events = createEventBus(log);
  const health = createHealthRegistry();
  const failures: Error[] = [];
  const load = (entries: readonly (PluginEntry | string)[] = Object.keys(plugins)) =>
    loadCatalog({
      entries: entries.map((entry) => (typeof entry === 'string' ? { use: entry } : entry)),
      discovery: {
        builtIns: Object.fromEntries(
          Object.entries(plugins).map(([name, plugin]) => [name, async () => plugin]),
        ),
        directory: import.meta.dirname,
      },
      services: createServiceContainer([bind(HostClock, clock)]),
      events,
      health,
      clock,
      log: log as Log,
      random: () => 0.5,
      taskPolicy: defaultTaskPolicy,
      deadlines: defaultDeadlines,
      points: [],
      onFailed: (error) => failures.push(error),
      ...changes,
    });
  return { clock, log, events, health, failures, load };
}

/** A plugin that has nothing but its name, and what differs. */
export function named(name: string, changes: Partial<AnyPlugin> = {}): AnyPlugin {
  return definePlugin({ name, api: 1, config: noConfig, setup: () => undefined, ...changes });
}
