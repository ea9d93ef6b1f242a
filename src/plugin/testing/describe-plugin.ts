import { deepStrictEqual, match, ok, rejects } from 'node:assert/strict';
import { defaultDeadlines } from '#host';
import type { Needs, Plugin } from '#plugin';
import { type LoadOptions, loadPlugin } from './load-plugin.ts';

export interface Conformance extends LoadOptions {
  /** Configurations that must be refused; at least one. */
  readonly badConfigs: readonly unknown[];
  /** What makes the plugin busy before it is stopped, for example an event it waits for. */
  readonly exercise?: (loaded: Awaited<ReturnType<typeof loadPlugin>>) => Promise<void> | void;
}

/** The `test` of any runner: vitest, node:test, jest. */
export type TestFunction = (name: string, body: () => Promise<void>) => unknown;

/** What every plugin owes the host, as tests of your runner. `config` is one that must be accepted. */
export function describePlugin<C, N extends Needs>(
  plugin: Plugin<C, N>,
  test: TestFunction,
  conformance: Conformance,
): void {
  test(`${plugin.name}: a good configuration is accepted`, async () => {
    await using loaded = await loadPlugin(plugin, conformance);
    ok(loaded.health().started);
  });

  test(`${plugin.name}: a bad configuration is refused before setup runs`, async () => {
    ok(conformance.badConfigs.length > 0, 'give at least one bad configuration');
    for (const config of conformance.badConfigs) {
      let hasRun = false;
      const setup = () => {
        hasRun = true;
      };
      const watched = { ...plugin, setup };
      await rejects(loadPlugin(watched, { ...conformance, config }), (error: Error & { code?: string }) => {
        deepStrictEqual(error.code, 'DAAS_PLUGINS_INVALID', `accepted: ${JSON.stringify(config)}`);
        return true;
      });
      ok(!hasRun, 'setup ran with a bad configuration');
    }
  });

  test(`${plugin.name}: nothing is left after it was released`, async () => {
    const before = openHandles();
    const loaded = await loadPlugin(plugin, conformance);
    await conformance.exercise?.(loaded);
    await loaded.stop();
    deepStrictEqual(loaded.listenerCount(), 0, 'event listeners are left');
    deepStrictEqual(Object.keys(loaded.health().details), [], 'health checks are left');
    deepStrictEqual(loaded.clock.sleepers, 0, 'something still sleeps');
    deepStrictEqual(loaded.gateways.open, 0, 'connections to gateways are open');
    deepStrictEqual(openHandles(), before, 'handles are open');
    const complaints = loaded.log.messages().filter((message) => message === 'Releasing a plugin failed');
    deepStrictEqual(complaints, []);
  });

  test(`${plugin.name}: every task ends within a second of being aborted`, async () => {
    const deadlines = { ...defaultDeadlines, drainMs: 1_000 };
    const loaded = await loadPlugin(plugin, { ...conformance, deadlines });
    await conformance.exercise?.(loaded);
    await loaded.stop();
    const late = loaded.log.messages().filter((message) => message === 'A task did not end when asked to');
    deepStrictEqual(late, []);
  });

  test(`${plugin.name}: its name is kebab-case, and it speaks version 1 of the contract`, async () => {
    match(plugin.name, /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/);
    deepStrictEqual(plugin.api, 1);
  });
}

const handles = new Set([
  'TCPServerWrap',
  'TCPSocketWrap',
  'UDPWRAP',
  'ProcessWrap',
  'FSEventWrap',
  'StatWatcher',
]);

/** What keeps a process alive; timers are left to the fake clock. */
function openHandles(): readonly string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => handles.has(name))
    .sort();
}
