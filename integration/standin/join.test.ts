import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { childrenOf, commandLineOf, readText, startAgentWorld, until } from './agent-world.ts';
import { resourceNamed } from './server/objects.ts';

const forever = new AbortController().signal;

test('an agent with a join credential becomes Ready and looks as k3s does', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const supervisor = await worker.supervisor();
  await supervisor.preflight(forever);
  await supervisor.start(
    {
      join: world.mintCredential(),
      nodeLabels: { 'k3s-daas.io/tier': 'basic' },
      taints: ['k3s-daas.io/staked=basic:NoSchedule'],
      arguments: ['--node-label=plugin=yes'],
    },
    forever,
  );
  const node = world.server.store.get(resourceNamed('nodes'), '', 'w1');
  expect(node).toMatchObject({
    metadata: { labels: { 'k3s-daas.io/tier': 'basic', plugin: 'yes' } },
    spec: {
      taints: expect.arrayContaining([{ key: 'k3s-daas.io/staked', value: 'basic', effect: 'NoSchedule' }]),
    },
  });
  const state = supervisor.state();
  expect(state.kind).toBe('ready');
  const pid = 'pid' in state ? state.pid : 0;
  expect(commandLineOf(pid)[0]).toBe('k3s agent');
  await until(() => childrenOf(pid).some((child) => commandLineOf(child)[0] === 'containerd'));
  for (const name of [
    'client-kubelet.crt',
    'client-kubelet.key',
    'serving-kubelet.key',
    'kubelet.kubeconfig',
  ])
    expect((await stat(join(worker.dataDir, 'agent', name))).mode & 0o777).toBe(0o600);
  expect((await stat(worker.tokenPath)).mode & 0o777).toBe(0o600);
  expect(worker.events.map(({ event }) => event)).toEqual([
    'agent.state.changed',
    'agent.started',
    'agent.state.changed',
    'agent.ready',
  ]);
  expect(worker.log).toContainEqual(
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('This is a stand-in') }),
  );
  expect(await readText(worker.tokenPath)).toMatch(/^K10[0-9a-f]{64}::/);
});
