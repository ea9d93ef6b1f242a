import { FakeClock, RecordingLog, settled } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { DaasError, type Log } from '#base';
import {
  AgentArguments,
  definePlugin,
  HostClock,
  JoinCredentialSource,
  type Plugin,
  SealTokenSource,
  token,
} from '#plugin';
import { type CatalogOptions, defaultDeadlines, loadCatalog } from './catalog.ts';
import type { PluginEntry } from './discovery.ts';
import { createEventBus } from './events.ts';
import { createHealthRegistry } from './health.ts';
import { bind, createServiceContainer } from './plugin-services.ts';
import { defaultTaskPolicy } from './tasks.ts';

const noConfig = z.strictObject({});

// biome-ignore lint/suspicious/noExplicitAny: plugins of any configuration and needs.
type AnyPlugin = Plugin<any, any>;

function makeWorld(plugins: Readonly<Record<string, AnyPlugin>>, changes: Partial<CatalogOptions> = {}) {
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

function named(name: string, changes: Partial<AnyPlugin> = {}): AnyPlugin {
  return definePlugin({ name, api: 1, config: noConfig, setup: () => undefined, ...changes });
}

test('all problems of all plugins are told at once, and no setup runs', async () => {
  const ran: string[] = [];
  const world = makeWorld({
    one: named('one', { config: z.strictObject({ size: z.number() }), setup: () => void ran.push('one') }),
    two: named('two', { needs: { x: token('no-such-service') }, setup: () => void ran.push('two') }),
    three: named('three', { setup: () => void ran.push('three') }),
  });
  const error = await world
    .load([{ use: 'one', config: { size: 'big' } }, 'two', 'three', 'thre', 'three'])
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'DAAS_PLUGINS_INVALID', exitCode: 78 });
  const { problems } = (error as DaasError).details as { problems: string[] };
  expect(problems).toHaveLength(4);
  expect(problems[0]).toMatch(/plugins\[0\] \(use: "one"\): config\.size: .*expected number/);
  expect(problems[1]).toContain("needs the service 'no-such-service'");
  expect(problems[2]).toContain("the nearest is 'three'");
  expect(problems[3]).toContain('listed twice');
  expect(ran).toEqual([]);
});

test('plugins are set up after those they name, ties in the order of the configuration', async () => {
  const order: string[] = [];
  const setup = (name: string) => () => void order.push(name);
  const world = makeWorld({
    c: named('c', { after: ['a', 'not-there'], setup: setup('c') }),
    b: named('b', { setup: setup('b') }),
    a: named('a', { setup: setup('a') }),
  });
  await using _catalog = await world.load();
  expect(order).toEqual(['b', 'a', 'c']);
});

test('plugins that wait for each other in a circle are refused by name', async () => {
  const world = makeWorld({ a: named('a', { after: ['b'] }), b: named('b', { after: ['a'] }) });
  await expect(world.load()).rejects.toThrow('a → b → a');
});

test('when one setup fails everything is released in reverse order, also what the failing one had registered', async () => {
  const released: string[] = [];
  const world = makeWorld({
    first: named('first', {
      setup: (scope) => {
        scope.release('one', () => released.push('first/1'));
        scope.release('two', () => released.push('first/2'));
        scope.on('agent.ready', () => undefined);
      },
    }),
    second: named('second', {
      setup: (scope) => {
        scope.release('half', () => released.push('second/half'));
        throw new DaasError('PLUGIN_NO_LUCK', 'the device is busy', { exitCode: 78 });
      },
    }),
  });
  await expect(world.load()).rejects.toMatchObject({
    message: 'second(setup): the device is busy',
    code: 'PLUGIN_NO_LUCK',
    exitCode: 78,
    plugin: 'second',
    phase: 'setup',
  });
  expect(released).toEqual(['second/half', 'first/2', 'first/1']);
  expect(world.events.listenerCount()).toBe(0);
});

test('a setup that hangs is ended by its deadline', async () => {
  const world = makeWorld({ slow: named('slow', { setup: () => new Promise<void>(() => undefined) }) });
  const loading = expect(world.load()).rejects.toThrow('slow(setup): setup took longer than 10000 ms');
  await world.clock.advance(10_000);
  await loading;
});

test('a release that fails or hangs does not keep the others from theirs', async () => {
  const released: string[] = [];
  const world = makeWorld({
    a: named('a', { setup: (scope) => scope.release('a', () => released.push('a')) }),
    b: named('b', {
      setup: (scope) => {
        scope.release('b/first', () => released.push('b/first'));
        scope.release('b/hangs', () => new Promise(() => undefined));
      },
    }),
    c: named('c', {
      setup: (scope) =>
        scope.release('c', () => {
          throw new Error('stuck');
        }),
    }),
  });
  const catalog = await world.load();
  const closed = catalog.close();
  await world.clock.advance(defaultDeadlines.releaseMs);
  await closed;
  expect(released).toEqual(['b/first', 'a']);
  const failures = world.log.records.filter(({ level }) => level === 'error');
  expect(failures.map(({ message, fields }) => [message, fields.plugin])).toEqual([
    ['Releasing a plugin failed', 'c'],
    ['Releasing a plugin failed', 'b'],
  ]);
});

test('a point that needs exactly one provider is refused with none and with two', async () => {
  const provider = (name: string) =>
    named(name, {
      setup: (scope) =>
        scope.provide(JoinCredentialSource, {
          preflight: async () => undefined,
          register: async () => ({}) as never,
        }),
    });
  const none = makeWorld({ a: named('a') }, { points: [SealTokenSource] });
  await expect(none.load()).rejects.toMatchObject({
    code: 'DAAS_PLUGIN_CARDINALITY',
    message: expect.stringContaining('no plugin provides seal-token-source'),
  });
  const two = makeWorld({ a: provider('a'), b: provider('b') });
  await expect(two.load()).rejects.toThrow("'a' and 'b' provide join-credential-source");
});

test('what goes wrong in a call says plugin and point, and keeps code and whether it may be retried', async () => {
  const world = makeWorld({
    a: named('a', {
      setup: (scope) =>
        scope.provide(JoinCredentialSource, {
          preflight: async () => {
            // A plugin may bring its own copy of the contract: only the shape counts.
            throw Object.assign(new Error('no answer'), {
              code: 'PLUGIN_AWAY',
              isRetryable: true,
              exitCode: 75,
            });
          },
          register: async (_stake, signal) => {
            signal.throwIfAborted();
            throw 'not even an error';
          },
        }),
    }),
  });
  await using catalog = await world.load();
  const source = catalog.one(JoinCredentialSource);
  const live = new AbortController();
  await expect(source.preflight(live.signal)).rejects.toMatchObject({
    message: 'a(JoinCredentialSource): no answer',
    code: 'PLUGIN_AWAY',
    isRetryable: true,
    exitCode: 75,
  });
  await expect(source.register({} as never, live.signal)).rejects.toThrow(
    'a(JoinCredentialSource): not even an error',
  );
  const reason = new Error('over');
  live.abort(reason);
  await expect(source.register({} as never, live.signal)).rejects.toBe(reason);
});

test('a call without a signal is ended by its deadline', async () => {
  const world = makeWorld({
    a: named('a', {
      setup: (scope) => scope.provide(AgentArguments, { agentArguments: () => new Promise(() => undefined) }),
    }),
  });
  await using catalog = await world.load();
  const call = expect(catalog.all(AgentArguments)[0]?.agentArguments()).rejects.toThrow(
    'a(AgentArguments): AgentArguments.agentArguments took longer than 10000 ms',
  );
  await world.clock.advance(10_000);
  await call;
});

test('a task runs only once everything is set up, again after a growing delay, and is given up in the end', async () => {
  let runs = 0;
  const world = makeWorld({
    a: named('a', {
      setup: (scope) =>
        scope.run('loop', async () => {
          runs += 1;
          throw new Error(`failure ${runs}`);
        }),
    }),
  });
  await using catalog = await world.load();
  await settled();
  expect(runs).toBe(0);
  catalog.start();
  await settled();
  expect(runs).toBe(1);
  await world.clock.advance(250);
  expect(runs).toBe(2);
  await world.clock.advance(120_000);
  expect(runs).toBe(defaultTaskPolicy.mostFailures);
  expect(world.failures.map((error) => error.message)).toEqual(['a(loop): failure 8']);
});

test('draining aborts every task and waits for them; one that does not end is named', async () => {
  const ended: string[] = [];
  const world = makeWorld({
    good: named('good', {
      setup: (scope) =>
        scope.run('loop', async (signal) => {
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          ended.push('good');
        }),
    }),
    deaf: named('deaf', { setup: (scope) => scope.run('loop', () => new Promise(() => undefined)) }),
  });
  const catalog = await world.load();
  catalog.start();
  await settled();
  const drained = catalog.drain();
  await world.clock.advance(defaultDeadlines.drainMs);
  await drained;
  expect(ended).toEqual(['good']);
  expect(world.log.records.find((record) => record.level === 'warn')?.fields).toMatchObject({
    plugin: 'deaf',
    task: 'loop',
  });
});

test('an isolated plugin that fails is left out; one the host cannot do without may not be isolated', async () => {
  const world = makeWorld({
    bad: named('bad', {
      setup: (scope) => {
        scope.on('agent.ready', () => undefined);
        throw new Error('no');
      },
    }),
    good: named('good', {
      setup: (scope) => scope.health(() => ({ live: true, ready: true, detail: 'fine' })),
    }),
  });
  await using _catalog = await world.load([{ use: 'bad', onFailure: 'isolate' }, 'good']);
  expect(world.events.listenerCount()).toBe(0);
  expect(world.health.read()).toMatchObject({
    ready: false,
    details: { bad: { ready: false }, good: { ready: true } },
  });

  const essential = makeWorld({
    e: named('e', {
      setup: (scope) =>
        scope.provide(SealTokenSource, { find: async () => undefined, obtain: async () => ({}) as never }),
    }),
  });
  await expect(essential.load([{ use: 'e', onFailure: 'isolate' }])).rejects.toMatchObject({
    code: 'DAAS_PLUGIN_NOT_ISOLATABLE',
  });
});

test('a plugin gets the services it asked for and cannot provide after its setup', async () => {
  let late: (() => void) | undefined;
  let got: unknown;
  const world = makeWorld({
    a: definePlugin({
      name: 'a',
      api: 1,
      config: noConfig,
      needs: { clock: HostClock },
      setup(scope, needs) {
        got = Object.keys(needs);
        expect(needs.clock).toBe(world.clock);
        late = () => scope.provide(AgentArguments, { agentArguments: () => [] });
      },
    }),
  });
  await using _catalog = await world.load();
  expect(got).toEqual(['clock']);
  expect(() => late?.()).toThrow("'a' called it later");
});

test('a listener that throws, or rejects, is logged and changes nothing else', async () => {
  const heard: number[] = [];
  const world = makeWorld({
    a: named('a', {
      setup: (scope) => {
        scope.on('agent.ready', () => {
          throw new Error('oops');
        });
        scope.on('agent.ready', (async () => {
          throw new Error('oops later');
        }) as () => void);
        scope.on('agent.ready', ({ pid }) => heard.push(pid));
      },
    }),
  });
  await using _catalog = await world.load();
  world.events.emit('agent.ready', { pid: 7 });
  await settled();
  expect(heard).toEqual([7]);
  const failures = world.log.records.filter(({ level }) => level === 'error');
  expect(failures.map(({ message, fields }) => [message, fields.plugin])).toEqual([
    ['A listener failed', 'a'],
    ['A listener failed', 'a'],
  ]);
  expect(world.log.records.find((record) => record.fields.event === 'agent.ready')?.fields).toMatchObject({
    pid: 7,
  });
});

test.each([
  ['nothing', undefined, 'is undefined, not an object'],
  ['half of it', { nodeId: 'worker-1', heartbeatIntervalMs: 1_000 }, 'incarnation is missing'],
  [
    'text for a number',
    { ...goodRegistration(), heartbeatIntervalMs: '10' },
    'heartbeatIntervalMs is a string',
  ],
  [
    'a bare token',
    { ...goodRegistration(), join: { server: 'https://x', token: 'K10::a', expiresAtMs: 1 } },
    'join token is a string',
  ],
  [
    'taints that are no list',
    { ...goodRegistration(), taints: 'a=b:NoSchedule' },
    'taints is a string, not a list',
  ],
])('a reply that is %s names the plugin, the point and what is wrong', async (_, reply, problem) => {
  const world = makeWorld({
    broken: named('broken', {
      setup: (scope) =>
        scope.provide(JoinCredentialSource, {
          preflight: async () => undefined,
          register: async () => reply as never,
        }),
    }),
  });
  await using catalog = await world.load();
  const stake = { recordId: '0x1', tokenId: '0x2', stakeMist: 1n };
  await expect(
    catalog.one(JoinCredentialSource).register(stake, new AbortController().signal),
  ).rejects.toMatchObject({
    code: 'DAAS_PLUGIN_REPLY',
    message: expect.stringContaining(
      `broken(JoinCredentialSource): the reply of register is not what the contract promises: ${problem}`,
    ),
  });
});

function goodRegistration() {
  return {
    nodeId: 'worker-1',
    message: '',
    incarnation: 1,
    heartbeatIntervalMs: 1_000,
    nodeLabels: {},
    taints: [],
    join: undefined,
  };
}

test('a plugin that provides a point without one of its methods is refused before anything starts', async () => {
  const world = makeWorld({
    half: named('half', {
      setup: (scope) => scope.provide(JoinCredentialSource, { preflight: async () => undefined } as never),
    }),
  });
  await expect(world.load()).rejects.toMatchObject({
    code: 'DAAS_PLUGIN_SHAPE',
    message: expect.stringContaining(
      "what 'half' provides as join-credential-source lacks the method register",
    ),
  });
});
