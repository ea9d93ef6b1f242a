import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fakeRegistration, settled } from 'k3s-daas/plugin/testing';
import { expect, test, vi } from 'vitest';
import { DaasError } from '#base';
import { openJournal } from '#infrastructure';
import type { Registration } from '#plugin';
import { away, makeWorld, sealed } from './host-world.fixture.ts';

test('a node that joined before starts on its certificates when gateway and chain are silent, and registers later', async () => {
  const first = makeWorld();
  const ended = first.host.run();
  await first.arrived('run');
  first.host.stop('test');
  await ended;

  const world = makeWorld({ stateDir: first.stateDir });
  world.script.find = async () => {
    throw away();
  };
  const running = world.host.run();
  await vi.waitFor(() => expect(world.asked).toEqual(['find']));
  await world.clock.advance(20_000);
  await world.arrived('degraded');
  expect(world.agent.starts).toEqual([
    expect.objectContaining({ join: undefined, taints: ['k3s-daas.io/staked=standard:NoSchedule'] }),
  ]);
  // Long after the join deadline it still asks, and the node is still there.
  await world.clock.advance(600_000);
  world.script.find = async () => sealed;
  world.script.register = async () => fakeRegistration({ join: undefined });
  await world.clock.advance(20_000);
  await world.arrived('run');
  expect(world.agent.starts).toHaveLength(1);
  world.host.stop('test');
  expect((await running).exitCode).toBe(0);
});

/** A world whose state directory knows of a join on the machine 'home'; the gateway's answer is awaited. */
async function joinedAtHome(machineId: string, changes: object = {}) {
  const world = makeWorld({ machineId });
  const journal = await openJournal(join(world.stateDir, 'journal.json'));
  const { nodeLabels, taints } = fakeRegistration();
  const joined = {
    recordId: '0xrecord',
    machineId: 'home',
    nodeId: 'worker-1',
    nodeLabels,
    taints,
    arguments: ['--node-label=a=b'],
    ...changes,
  };
  await journal.section('host').write('joined', joined);
  const answer = Promise.withResolvers<Registration>();
  world.script.register = () => answer.promise;
  return { ...world, answer };
}

test.each([
  ['a credential', fakeRegistration()],
  ['none', { ...fakeRegistration(), join: undefined }],
])(
  'on the machine of its last join the agent starts before chain and gateway have answered, and once, whether the gateway then sends %s',
  async (_what, registration) => {
    const world = await joinedAtHome('home');
    const ended = world.host.run();
    await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'), { timeout: 5_000 });
    expect(world.agent.starts).toEqual([expect.objectContaining({ join: undefined })]);
    world.answer.resolve(registration);
    await world.arrived('run');
    await settled();
    expect(world.agent.starts).toHaveLength(1);
    world.host.stop('test');
    expect((await ended).exitCode).toBe(0);
    expect(world.agent.starts).toHaveLength(1);
  },
);

test('on the machine of its last join the agent runs before chain, wallet and plugins are opened, with what plugins added then', async () => {
  const world = await joinedAtHome('home');
  world.answer.resolve(fakeRegistration());
  const atOpening = Promise.withResolvers<readonly unknown[]>();
  world.onOpen.run = () => atOpening.resolve([...world.agent.calls]);
  const ended = world.host.run();
  expect(await atOpening.promise).toEqual(['preflight', 'start']);
  await world.arrived('run');
  expect(world.agent.starts).toEqual([expect.objectContaining({ arguments: ['--node-label=a=b'] })]);
  expect(world.agent.calls.filter((call) => call === 'preflight')).toHaveLength(1);
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that was started with what its plugins added before is started with what they add now, once', async () => {
  const world = await joinedAtHome('home', { arguments: ['--node-label=a=earlier'] });
  world.answer.resolve(fakeRegistration());
  const ended = world.host.run();
  await world.arrived('run');
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  expect(world.agent.starts.at(-1)).toMatchObject({ arguments: ['--node-label=a=b'] });
  const written = () => readFile(join(world.stateDir, 'journal.json'), 'utf8');
  await vi.waitFor(async () => expect(await written()).toContain('--node-label=a=b'), { timeout: 5_000 });
  world.host.stop('test');
  await ended;

  const again = makeWorld({ machineId: 'home', stateDir: world.stateDir });
  const running = again.host.run();
  await again.arrived('run');
  expect(again.agent.starts).toEqual([expect.objectContaining({ arguments: ['--node-label=a=b'] })]);
  again.host.stop('test');
  await running;
});

test('a join that was made under another node id starts no agent before the gateway has answered', async () => {
  const world = await joinedAtHome('home', { nodeId: 'worker-2' });
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'), { timeout: 5_000 });
  await settled();
  expect(world.agent.starts).toEqual([]);
  world.host.stop('test');
  await ended;
});

test('an agent that was started at once is stopped when the rest cannot be opened', async () => {
  const world = await joinedAtHome('home');
  world.onOpen.run = () => {
    throw new DaasError('DAAS_WALLET_MISSING', 'no wallet', { exitCode: 78 });
  };
  expect(await world.host.run()).toMatchObject({ exitCode: 78 });
  expect(world.agent.calls).toEqual(['preflight', 'start', 'dispose']);
});

test('a state directory that was copied to another machine starts no agent before the gateway has answered', async () => {
  const world = await joinedAtHome('elsewhere');
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  await settled();
  expect(world.agent.starts).toEqual([]);
  world.answer.resolve(fakeRegistration());
  await world.arrived('run');
  expect(world.agent.starts).toHaveLength(1);
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that started on its certificates is stopped for good when its stake turns out to have ended', async () => {
  const world = await joinedAtHome('home');
  world.script.find = async () => {
    throw new DaasError('DAAS_STAKE_NOT_ACTIVE', 'slashed', { exitCode: 77 });
  };
  expect(await world.host.run()).toMatchObject({ exitCode: 77 });
  expect(world.agent.starts).toHaveLength(1);
  expect(world.agent.calls).toContain('stopForGood');
});

test('an agent that started with the labels of its last join is started with those that the gateway gives now', async () => {
  const world = await joinedAtHome('home');
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  world.answer.resolve({ ...fakeRegistration(), join: undefined, nodeLabels: { tier: 'other' } });
  await world.arrived('run');
  expect(world.agent.starts).toHaveLength(2);
  expect(world.agent.starts.at(-1)).toMatchObject({ nodeLabels: { tier: 'other' } });
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that has started without its gateway is started once, whatever the gateway gives later', async () => {
  const first = makeWorld();
  const ended = first.host.run();
  await first.arrived('run');
  first.host.stop('test');
  await ended;

  const world = makeWorld({ stateDir: first.stateDir });
  const answer = Promise.withResolvers<Registration>();
  world.script.register = () => answer.promise;
  const running = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  await world.clock.advance(20_000);
  await world.arrived('degraded');
  answer.resolve(fakeRegistration());
  await world.arrived('run');
  await world.clock.advance(60_000);
  expect(world.agent.starts).toEqual([expect.objectContaining({ join: undefined })]);
  world.host.stop('test');
  expect((await running).exitCode).toBe(0);
});

test('an agent that is refused while the host still registers does not register beside it', async () => {
  const first = makeWorld();
  const ended = first.host.run();
  await first.arrived('run');
  first.host.stop('test');
  await ended;

  const world = makeWorld({ stateDir: first.stateDir });
  const answer = Promise.withResolvers<Registration>();
  world.script.register = () => answer.promise;
  world.agent.becomesReady = false;
  const running = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  await world.clock.advance(20_000);
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(1));
  world.host.events.emit('agent.refused', { pid: 1, reason: 'not authorized', hadJoinCredential: false });
  await settled();
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(1);
  world.agent.isInNeed = true;
  world.agent.becomesReady = true;
  answer.resolve(fakeRegistration());
  await world.arrived('run');
  await world.clock.advance(60_000);
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(1);
  expect(world.agent.starts).toHaveLength(2);
  world.host.stop('test');
  await running;
});
