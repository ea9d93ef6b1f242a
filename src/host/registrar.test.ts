import { fakeRegistration, settled } from 'k3s-daas/plugin/testing';
import { expect, test, vi } from 'vitest';
import { DaasError } from '#base';
import { makeWorld } from './host-world.fixture.ts';

test('registering again leaves the running agent alone unless it needs the join credential that comes back', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.script.register = async () => fakeRegistration({ join: undefined });
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.asked.filter((what) => what === 'register')).toHaveLength(2));
  expect(world.agent.starts).toHaveLength(1);
  await world.clock.advance(1);
  world.script.register = async () => fakeRegistration();
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.asked.filter((what) => what === 'register')).toHaveLength(3));
  await settled();
  expect(world.agent.starts).toHaveLength(1);
  await world.clock.advance(1);
  world.agent.isInNeed = true;
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('a credential that the agent did not need is kept until the server refuses it', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.asked.filter((what) => what === 'register')).toHaveLength(2));
  await settled();
  expect(world.agent.starts).toHaveLength(1);
  world.agent.current = { kind: 'starting', pid: 1 };
  world.agent.isInNeed = true;
  world.host.events.emit('agent.refused', { pid: 1, reason: 'not authorized', hadJoinCredential: false });
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  expect(world.agent.starts[1]?.join).toBeDefined();
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(2);
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('a joined host is degraded while a plugin is not ready, with the detail of the plugin', async () => {
  const world = makeWorld();
  const details: unknown[] = [];
  world.host.events.on('phase.entered', (fact) => details.push(fact));
  const ended = world.host.run();
  await world.arrived('run');
  world.script.health = { live: true, ready: false, detail: 'the chain does not answer' };
  await world.clock.advance(5_000);
  expect(details.at(-1)).toEqual({ phase: 'degraded', detail: 'scripted: the chain does not answer' });
  expect(world.host.health()).toMatchObject({ live: true, ready: false });
  world.script.health = { live: true, ready: true, detail: 'fine' };
  await world.clock.advance(5_000);
  expect(world.phases.at(-1)).toBe('run');
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an event after which a plugin may say something else is followed by a look at once', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.script.health = { live: true, ready: false, detail: 'heartbeats failed' };
  world.host.events.emit('heartbeat.acknowledged', { sequence: 2, directives: [] });
  await world.arrived('degraded');
  world.script.health = { live: true, ready: true, detail: 'fine' };
  world.host.events.emit('heartbeat.acknowledged', { sequence: 3, directives: [] });
  await world.arrived('run');
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('a refusal while the agent runs degrades the host and ends nothing', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.script.register = async () => {
    throw new DaasError('PLUGIN_REFUSED', 'not now');
  };
  world.control().reregister('told to');
  await world.arrived('degraded');
  world.script.register = async () => fakeRegistration({ join: undefined });
  world.control().reregister('told to');
  await world.arrived('run');
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that the server refuses gets a fresh credential', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.current = { kind: 'starting', pid: 1 };
  world.agent.isInNeed = true;
  let answers = 0;
  world.script.register = async () => {
    answers += 1;
    return fakeRegistration(answers < 2 ? { join: undefined } : {});
  };
  world.host.events.emit('agent.refused', { pid: 1, reason: 'not authorized', hadJoinCredential: false });
  await vi.waitFor(() => expect(world.clock.sleepers).toBe(1));
  await world.clock.advance(10_000);
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  world.host.stop('test');
  await ended;
});
