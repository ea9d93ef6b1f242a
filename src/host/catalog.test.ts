import { expect, test } from 'vitest';
import { z } from 'zod';
import { DaasError } from '#base';
import {
  AgentArguments,
  definePlugin,
  HostClock,
  JoinCredentialSource,
  SealTokenSource,
  token,
} from '#plugin';
import { defaultDeadlines } from './catalog.ts';
import { makeWorld, named, noConfig } from './catalog-world.fixture.ts';

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
