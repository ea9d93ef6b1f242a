import { settled } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { DaasError } from '#base';
import { makeWorld } from './host-world.fixture.ts';

test('an agent that is given up ends the host with the exit code of its error', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.giveUp(new DaasError('DAAS_AGENT_CRASHING', 'it crashes'));
  expect(await ended).toMatchObject({ exitCode: 1, error: { code: 'DAAS_AGENT_CRASHING' } });
});

test('asked to stop before anything was started, it ends with 0', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  world.signals.emit('SIGINT');
  expect((await ended).exitCode).toBe(0);
  expect(world.agent.starts).toEqual([]);
});

test('a second signal does not wait for an agent that takes its time', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.stopping = new Promise(() => undefined);
  world.signals.emit('SIGTERM');
  await world.arrived('drain');
  world.signals.emit('SIGTERM');
  expect((await ended).exitCode).toBe(1);
  expect(world.agent.calls).toContain('stop at once');
});

test('a drain that takes longer than its deadline ends, and leaves no agent behind', async () => {
  const world = makeWorld({ drainDeadlineMs: 7_000 });
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.stopping = new Promise(() => undefined);
  world.signals.emit('SIGTERM');
  await world.arrived('drain');
  await world.clock.advance(7_000);
  expect((await ended).exitCode).toBe(1);
  expect(world.agent.calls).toContain('stop at once');
});

test('a first signal does not hurry a host that is ending by itself', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  const stopped = Promise.withResolvers<void>();
  world.agent.stopping = stopped.promise;
  world.agent.giveUp(new DaasError('DAAS_AGENT_CRASHING', 'it crashes'));
  await world.arrived('drain');
  world.signals.emit('SIGTERM');
  await settled();
  expect(world.phases.at(-1)).toBe('drain');
  stopped.resolve();
  expect(await ended).toMatchObject({ exitCode: 1, error: { code: 'DAAS_AGENT_CRASHING' } });
});
