import { fakeRegistration } from 'k3s-daas/plugin/testing';
import { expect, test, vi } from 'vitest';
import { DaasError, gatewayErrorCode } from '#base';
import { away, makeWorld, sealed } from './host-world.fixture.ts';
import type { JoinedBefore } from './joined-before.ts';
import { firstStart } from './joining.ts';

const joined: JoinedBefore = {
  recordId: '0xrecord',
  machineId: 'home',
  nodeId: 'worker-1',
  nodeLabels: { tier: 'standard' },
  taints: [],
  arguments: [],
};
const same = { nodeLabels: { tier: 'standard' }, taints: [] };
const other = { nodeLabels: { tier: 'premium' }, taints: [] };

test.each([
  ['the first join', same, undefined, false, 'with-the-reply'],
  ['a reply in time on another machine', same, joined, false, 'with-the-reply'],
  ['a running agent that is as the gateway wants it', same, joined, true, 'keep-running'],
  ['a running agent with other labels than the gateway wants', other, joined, true, 'with-the-reply'],
  ['no reply in time, nothing runs', undefined, joined, false, 'on-certificates'],
  ['no reply in time, the agent runs', undefined, joined, true, 'run-on'],
] as const)('the first start of the agent: %s', (_case, reply, before, isRunning, start) => {
  expect(firstStart(reply, before, isRunning)).toBe(start);
});

test('a host stakes, seals, registers, runs, and ends with 0 when asked to stop, everything undone in reverse', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  expect(world.agent.starts).toEqual([
    expect.objectContaining({
      join: expect.objectContaining({ server: 'https://server.example.com:6443' }),
      taints: ['k3s-daas.io/staked=standard:NoSchedule'],
      arguments: ['--node-label=a=b'],
    }),
  ]);
  expect(world.asked).toEqual(['find', 'preflight', 'obtain', 'register']);
  expect(world.host.health()).toMatchObject({ started: true, live: true, ready: true });
  world.signals.emit('SIGTERM');
  expect(await ended).toEqual({ exitCode: 0, error: undefined });
  expect(world.phases).toEqual([
    'configure',
    'preflight',
    'stake',
    'seal',
    'register',
    'run',
    'drain',
    'stop',
  ]);
  expect(world.agent.calls).toEqual(['preflight', 'start', 'stop', 'dispose']);
  expect(world.released).toEqual(['plugin', 'services']);
  expect(world.signals.listenerCount('SIGTERM')).toBe(0);
  expect(world.clock.sleepers).toBe(0);
  expect(world.log.records.at(-1)?.fields).toMatchObject({ event: 'host.ended', exitCode: 0 });
});

test('the gateway is not asked for permission when the stake stands already', async () => {
  const world = makeWorld();
  world.script.find = async () => sealed;
  const ended = world.host.run();
  await world.arrived('run');
  expect(world.asked).toEqual(['find', 'obtain', 'register']);
  world.host.stop('test');
  await ended;
});

test('a refusal before money moves ends the host, and nothing was staked or started', async () => {
  const world = makeWorld();
  world.script.preflight = async () => {
    throw new DaasError('PLUGIN_NAME_NOT_OURS', 'the name is taken', { exitCode: 78 });
  };
  const { exitCode, error } = await world.host.run();
  expect(exitCode).toBe(78);
  expect(error).toMatchObject({
    code: 'PLUGIN_NAME_NOT_OURS',
    message: 'scripted(JoinCredentialSource): the name is taken',
  });
  expect(world.asked).toEqual(['find', 'preflight']);
  expect(world.agent.starts).toEqual([]);
});

test('a passing failure is asked again after growing delays', async () => {
  const world = makeWorld();
  let failures = 3;
  world.script.register = async () => {
    failures -= 1;
    if (failures >= 0) throw away();
    return fakeRegistration();
  };
  const ended = world.host.run();
  await world.arrived('register');
  await world.clock.advance(500 + 1_000 + 2_000);
  await world.arrived('run');
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(4);
  world.host.stop('test');
  await ended;
});

test('a gateway that finds the proof of the stake too old is asked again with what the source has then', async () => {
  const world = makeWorld();
  let answers = 0;
  world.script.register = async () => {
    answers += 1;
    if (answers > 1) return fakeRegistration();
    throw new DaasError(gatewayErrorCode('proof_too_old'), 'too old', { isRetryable: true });
  };
  const ended = world.host.run();
  await world.arrived('register');
  await world.clock.advance(500);
  await world.arrived('run');
  expect(world.asked).toEqual(['find', 'preflight', 'obtain', 'register', 'obtain', 'register']);
  world.host.stop('test');
  await ended;
});

test('a refusal that names a delay is not asked again before it is over', async () => {
  const world = makeWorld();
  let answers = 0;
  world.script.register = async () => {
    answers += 1;
    if (answers > 1) return fakeRegistration();
    throw new DaasError('PLUGIN_BUSY', 'busy', { isRetryable: true, details: { retryAfterMs: 30_000 } });
  };
  const ended = world.host.run();
  await vi.waitFor(() => expect(answers).toBe(1));
  await world.clock.advance(29_000);
  expect(answers).toBe(1);
  await world.clock.advance(1_000);
  await world.arrived('run');
  world.host.stop('test');
  await ended;
});

test('a join that is not done by its deadline ends with exit code 75 and the last reason', async () => {
  const world = makeWorld({ joinDeadlineMs: 30_000 });
  world.script.register = async () => {
    throw away();
  };
  const ended = world.host.run();
  await world.arrived('register');
  await world.clock.advance(30_000);
  const { exitCode, error } = await ended;
  expect(exitCode).toBe(75);
  expect(error).toMatchObject({
    code: 'DAAS_JOIN_DEADLINE',
    message: expect.stringContaining('nobody answers'),
  });
});

test('a failure that was overcome is not named as the reason of a later one', async () => {
  const world = makeWorld();
  world.agent.becomesReady = false;
  let times = 0;
  world.script.find = async () => {
    times += 1;
    if (times === 1) throw away();
    return sealed;
  };
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked).toEqual(['find']));
  await vi.waitFor(() => expect(world.clock.sleepers).toBe(2));
  await world.clock.advance(500);
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(1));
  await world.clock.advance(300_000);
  expect((await ended).error?.message).toMatch(/the agent did not become Ready$/);
});

test('an agent that never becomes Ready ends with 75 and is stopped', async () => {
  const world = makeWorld({ joinDeadlineMs: 30_000 });
  world.agent.becomesReady = false;
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(1));
  await world.clock.advance(30_000);
  expect((await ended).exitCode).toBe(75);
  expect(world.agent.calls).toContain('stop');
});
