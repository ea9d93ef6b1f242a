import { expect, test } from 'vitest';
import { makeWorld } from './host-world.fixture.ts';
import { endsForClone, type JoinedBefore } from './joined-before.ts';

const here = { machineId: 'machine-a', nodeId: 'worker-1', bootId: 'boot-a' };
const joined: JoinedBefore = {
  recordId: '0xrecord',
  machineId: 'machine-a',
  nodeId: 'worker-1',
  bootId: 'boot-a',
  nodeLabels: {},
  taints: [],
  arguments: [],
};
const starting = { kind: 'starting', pid: 1 } as const;

test.each([
  ['one whose agent is Ready, wherever it is', { kind: 'ready', pid: 1 } as const, undefined, false],
  ['one that never joined', { kind: 'idle' } as const, undefined, true],
  ['one on another machine', starting, { ...joined, machineId: 'machine-b' }, true],
  ['a second process on the machine of the last join', starting, joined, true],
  ['one whose machine has rebooted since', starting, { ...joined, bootId: 'boot-before' }, false],
])('whether a host ends for a clone: %s', (_what, agent, before, ends) => {
  expect(endsForClone(agent, before, here)).toBe(ends);
});

test('a host that ends for a clone leaves the pods of the machine alone, and is not restarted', async () => {
  const world = makeWorld({ bootId: 'boot-a' });
  world.agent.becomesReady = false;
  const ended = world.host.run();
  await world.arrived('register');
  expect(world.control().cloned('said by the gateway')).toBe(true);
  expect(await ended).toMatchObject({ exitCode: 77, error: { code: 'DAAS_NODE_CLONED' } });
  expect(world.agent.calls).not.toContain('stopForGood');
  expect((await world.host.status()).attention).toMatchObject([
    { kind: 'clone_suspected' },
    { kind: 'host_ended' },
  ]);
});

test('a host whose agent is Ready tells it, and lives on', async () => {
  const world = makeWorld({ bootId: 'boot-a' });
  const ended = world.host.run();
  await world.arrived('run');
  expect(world.control().cloned('said by the gateway')).toBe(false);
  expect((await world.host.status()).attention).toMatchObject([
    { kind: 'clone_suspected', severity: 'critical' },
  ]);
  world.signals.emit('SIGTERM');
  expect((await ended).exitCode).toBe(0);
});
