import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { definePlugin, type Plugin } from '#plugin';
import { FakeClock, settled } from '#testing';
import { describePlugin } from './describe-plugin.ts';

const strict = z.strictObject({ size: z.number().default(1) });

/** The names of the conformance tests that a plugin fails. */
async function failuresOf(changes: Partial<Plugin>): Promise<readonly string[]> {
  const plugin = definePlugin({
    name: 'subject',
    api: 1,
    config: strict,
    setup: () => undefined,
    ...changes,
  } as never);
  const tests: Array<{ name: string; body: () => Promise<void> }> = [];
  describePlugin(plugin as Plugin, (name, body) => tests.push({ name, body }), {
    badConfigs: [{ size: 'big' }],
  });
  const failed: string[] = [];
  for (const { name, body } of tests) await body().catch(() => failed.push(name.replace('subject: ', '')));
  return failed;
}

test('a plugin that keeps its promises passes', async () => {
  const failures = await failuresOf({
    setup(scope) {
      scope.on('agent.ready', () => undefined);
      scope.health(() => ({ live: true, ready: true, detail: '' }));
      scope.run(
        'loop',
        (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
      );
    },
  });
  expect(failures).toEqual([]);
});

test('a schema that accepts anything is found out', async () => {
  expect(await failuresOf({ config: z.any() as never })).toContain(
    'a bad configuration is refused before setup runs',
  );
});

test('a task that does not listen to its signal is found out', async () => {
  const failures = await failuresOf({
    setup: (scope) => scope.run('deaf', () => new Promise(() => undefined)),
  });
  expect(failures).toContain('every task ends within a second of being aborted');
});

test('what is left open is found out', async () => {
  const servers: Array<ReturnType<typeof createServer>> = [];
  const failures = await failuresOf({
    setup: () =>
      new Promise<void>((resolve) => {
        servers.push(createServer().listen(0, '127.0.0.1', () => resolve()));
      }),
  });
  for (const server of servers) server.close();
  expect(failures).toContain('nothing is left after it was released');
});

test('a release that fails is found out', async () => {
  const failures = await failuresOf({
    setup: (scope) =>
      scope.release('it', () => {
        throw new Error('stuck');
      }),
  });
  expect(failures).toContain('nothing is left after it was released');
});

test('the fake clock wakes sleepers in order, and what they woke runs before the next', async () => {
  const clock = new FakeClock(1_000);
  const woken: string[] = [];
  const sleeper = async (name: string, delayMs: number) => {
    await clock.sleep(delayMs);
    woken.push(`${name} at ${clock.nowMs()}`);
    if (name === 'a') await sleeper('a2', 5);
  };
  void sleeper('b', 20);
  void sleeper('a', 10);
  await clock.advance(20);
  expect(woken).toEqual(['a at 1010', 'a2 at 1015', 'b at 1020']);
  const stop = new AbortController();
  const reason = new Error('over');
  const sleeping = clock.sleep(10, stop.signal);
  stop.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  expect(clock.sleepers).toBe(0);
  await settled();
});
