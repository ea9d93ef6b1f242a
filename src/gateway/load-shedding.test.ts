import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import { FakeClock, type LogRecord, RecordingLog } from '#testing';
import { createLoadShedding } from './load-shedding.ts';
import { watchLoopDelay } from './loop-delay.ts';
import { World } from './world.fixture.ts';

describe('while the event loop is behind', () => {
  let world: World;
  let delayMs = 0;
  beforeEach(async () => {
    delayMs = 0;
    world = await World.create();
    world.options = {
      loopDelay: { p99Ms: () => delayMs, [Symbol.asyncDispose]: async () => undefined },
    };
    await world.startGateway();
  });
  afterEach(() => world[Symbol.asyncDispose]());
  const metrics = async () => (await fetch(`${world.gateway?.healthUrl}/metrics`)).text();

  test('who is not known yet is told to come back later, and heartbeats of members count', async () => {
    const member = await world.member('worker-1');
    const newcomer = world.worker('worker-2').stake();
    delayMs = 501;
    await expect(newcomer.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_OVERLOADED',
      isRetryable: true,
      details: { retryAfterMs: 5_000 },
    });
    // On a connection of its own: nothing is known of it before its proof is read.
    expect(await member.heartbeat()).toMatchObject({ directives: [] });
    const text = await metrics();
    expect(text).toMatch(/^k3s_daas_shedding 1$/m);
    expect(text).toMatch(/^k3s_daas_requests_shed_total 1$/m);
    const lines = world.logged.filter(({ fields }) => fields?.event === 'gateway.sheds');
    expect(lines).toMatchObject([{ level: 'warn', fields: { delayMs: 501 } }]);

    delayMs = 500;
    await newcomer.register();
    expect(await metrics()).toMatch(/^k3s_daas_shedding 0$/m);
  });

  test('a slashed member is locked out, and its heartbeat is told to stop', async () => {
    const member = await world.member('worker-1');
    delayMs = 60_000;
    world.chain.change(member.recordId, { status: 'slashed' });
    await world.pass(3_000);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect((await member.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
    await world.operator('/v1/ban', { kind: 'node', value: 'worker-9', dry_run: false });
  });

  test('the port is alive for load balancers, and for the gateway’s own probe', async () => {
    delayMs = 60_000;
    await world.gateway?.untilReady();
    expect((await world.gateway?.health())?.every(({ isOk }) => isOk)).toBe(true);
  });
});

test('only what can wait is refused, only from callers that are not known, and the log says so twice a minute at most', async () => {
  const clock = new FakeClock();
  const logged: LogRecord[] = [];
  const config = { limits: { loopDelayMs: 100 } } as Parameters<typeof createLoadShedding>[0]['config'];
  const shedding = createLoadShedding({
    delay: { p99Ms: () => 101 },
    config,
    clock,
    log: new RecordingLog(logged),
  });
  const refused = [...Object.values(PATHS), '/livez', undefined].filter((route) =>
    shedding.refuses({ route, isKnown: false }),
  );
  expect(new Set(refused)).toEqual(new Set([PATHS.challenge, PATHS.register, PATHS.attestation, undefined]));
  expect(shedding.refuses({ route: PATHS.register, isKnown: true })).toBe(false);
  expect(logged).toHaveLength(1);
  await clock.advance(30_000);
  shedding.refuses({ route: PATHS.register, isKnown: false });
  expect(logged).toHaveLength(2);
});

test('a thread that was held shows as delay', async () => {
  await using delay = watchLoopDelay();
  await sleep(50);
  const untilMs = performance.now() + 300;
  while (performance.now() < untilMs);
  await sleep(150);
  expect(delay.p99Ms()).toBeGreaterThan(200);
});
