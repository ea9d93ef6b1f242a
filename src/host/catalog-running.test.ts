import { settled } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { AgentArguments, JoinCredentialSource } from '#plugin';
import { defaultDeadlines } from './catalog.ts';
import { makeWorld, named } from './catalog-world.fixture.ts';
import { defaultTaskPolicy } from './tasks.ts';

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
