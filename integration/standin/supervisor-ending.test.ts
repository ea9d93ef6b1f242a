import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { noLabels, startAgentWorld, until } from './agent-world.ts';
import { childrenOf, isRunning, shimsNaming, startForeignShim } from './machine-processes.ts';
import { resourceNamed } from './server/objects.ts';
import { forever, pidOf } from './supervisor-facts.ts';

/** How an agent ends, and what of it stays: crashes, stops, earlier lives, pods. */
test('an agent that is killed is started again; its pods live on and are adopted', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { env: { K3S_STANDIN_PODS: '2' } });
  const supervisor = await worker.supervisor();
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  await until(async () => (await supervisor.runningPods()) === 2);
  const shims = shimsNaming(worker.containerdAddress);
  const pid = pidOf(supervisor);
  const containerd = childrenOf(pid);
  process.kill(pid, 'SIGKILL');
  await until(() => supervisor.state().kind === 'ready' && pidOf(supervisor) !== pid);
  expect(containerd.filter(isRunning)).toEqual([]);
  expect(shimsNaming(worker.containerdAddress)).toEqual(shims);
  expect(worker.events).toContainEqual({
    event: 'agent.exited',
    fact: { pid, exitCode: undefined, signal: 'SIGKILL' },
  });
});

test('an agent that ends again and again is given up within the crash budget', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { settings: { crashBudget: { crashes: 3, windowMs: 60_000 } } });
  const supervisor = await worker.supervisor();
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  let killed = 0;
  const assassin = setInterval(() => {
    const state = supervisor.state();
    if ('pid' in state && isRunning(state.pid)) process.kill(state.pid, 'SIGKILL');
    killed++;
  }, 50);
  try {
    expect(await supervisor.failed()).toMatchObject({ code: 'DAAS_AGENT_CRASHING', exitCode: 1 });
  } finally {
    clearInterval(assassin);
  }
  expect(killed).toBeGreaterThan(0);
  expect(worker.events.filter(({ event }) => event === 'agent.exited')).toHaveLength(3);
});

test('an agent that ignores SIGTERM is killed at the deadline, its pods are not', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', {
    settings: { stopDeadlineMs: 300 },
    env: { K3S_STANDIN_PODS: '1' },
  });
  const supervisor = await worker.supervisor();
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  await until(async () => (await supervisor.runningPods()) === 1);
  const pid = pidOf(supervisor);
  process.kill(pid, 'SIGSTOP');
  await supervisor.stop();
  expect(isRunning(pid)).toBe(false);
  const stopped = (await worker.heard('agent.stopped')) as { killedPids: number[] };
  expect(stopped.killedPids).toContain(pid);
  expect(await supervisor.runningPods()).toBe(1);
});

test('a stop that is hurried kills an agent that ignores SIGTERM at once, its pods live on', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', {
    settings: { stopDeadlineMs: 3_600_000 },
    env: { K3S_STANDIN_PODS: '1' },
  });
  const supervisor = await worker.supervisor();
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  await until(async () => (await supervisor.runningPods()) === 1);
  const pid = pidOf(supervisor);
  process.kill(pid, 'SIGSTOP');
  const stopping = supervisor.stop();
  await until(() => supervisor.state().kind === 'stopping');
  await supervisor.stop({ atOnce: true });
  await stopping;
  expect(isRunning(pid)).toBe(false);
  expect(await supervisor.runningPods()).toBe(1);
});

test('a stop for good kills this k3s, its pods and its credential, and nobody else', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { env: { K3S_STANDIN_PODS: '2' } });
  const neighbour = await world.worker('w2', { env: { K3S_STANDIN_PODS: '1' } });
  const supervisor = await worker.supervisor();
  const other = await neighbour.supervisor();
  await Promise.all([
    supervisor.start({ join: world.mintCredential(), ...noLabels }, forever),
    other.start({ join: world.mintCredential(), ...noLabels }, forever),
  ]);
  await until(async () => (await supervisor.runningPods()) === 2 && (await other.runningPods()) === 1);
  const docker = await startForeignShim([
    '-namespace',
    'moby',
    '-id',
    'd',
    '-address',
    worker.containerdAddress,
  ]);
  const foreign = await startForeignShim(['-namespace', 'k8s.io', '-id', 'f', '-address', '/run/other.sock']);
  try {
    const pid = pidOf(supervisor);
    const shims = shimsNaming(worker.containerdAddress).filter((one) => one !== docker);
    const pauses = shims.flatMap(childrenOf);
    expect(pauses).toHaveLength(2);

    await supervisor.stopForGood();

    expect([pid, ...shims, ...pauses].filter(isRunning)).toEqual([]);
    expect(await supervisor.runningPods()).toBe(0);
    await expect(access(worker.tokenPath)).rejects.toThrow();
    const stopped = worker.events.filter(({ event }) => event === 'agent.stopped');
    expect(stopped).toEqual([
      { event: 'agent.stopped', fact: { pid, killedPids: expect.arrayContaining([...shims, ...pauses]) } },
    ]);
    expect(isRunning(docker)).toBe(true);
    expect(isRunning(foreign)).toBe(true);
    expect(childrenOf(foreign).filter(isRunning)).toHaveLength(1);
    expect(other.state().kind).toBe('ready');
    expect(await other.runningPods()).toBe(1);
  } finally {
    for (const shim of [docker, foreign])
      for (const one of [...childrenOf(shim), shim]) process.kill(one, 'SIGKILL');
  }
});

const mayUnshare = spawnSync('unshare', ['-m', 'true']).status === 0;
test.skipIf(!mayUnshare)(
  'a pod in another mount namespace is ours by the directory of its containerd, and else of another machine',
  async () => {
    await using world = await startAgentWorld();
    const worker = await world.worker('w1');
    const supervisor = await worker.supervisor();
    await mkdir(worker.dataDir);
    const words = ['-namespace', 'k8s.io', '-id', 'x', '-address', worker.containerdAddress];
    const own = await startForeignShim(words, ['unshare', '-m']);
    const elsewhere = `mount -t tmpfs none ${worker.dataDir} && exec "$@"`;
    const foreign = await startForeignShim(words, ['unshare', '-m', 'sh', '-c', elsewhere, 'sh'], [own]);
    const containers = childrenOf(foreign);
    await supervisor.stopForGood();
    expect(isRunning(own)).toBe(false);
    expect([foreign, ...containers].filter(isRunning)).toEqual([foreign, ...containers]);
  },
);

test('a stop for good works in a later life of the host, too, and twice', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { env: { K3S_STANDIN_PODS: '1' } });
  const before = await worker.supervisor();
  await before.start({ join: world.mintCredential(), ...noLabels }, forever);
  await until(async () => (await before.runningPods()) === 1);
  const pid = pidOf(before);
  const after = await worker.supervisor();
  await after.stopForGood();
  await after.stopForGood();
  expect(isRunning(pid)).toBe(false);
  expect(await after.runningPods()).toBe(0);
});

test('a stop for good goes on when the credential cannot be wiped, and says so at the end', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { env: { K3S_STANDIN_PODS: '1' } });
  const before = await worker.supervisor({ crashBudget: { crashes: 1, windowMs: 60_000 } });
  await before.start({ join: world.mintCredential(), ...noLabels }, forever);
  await until(async () => (await before.runningPods()) === 1);
  const pid = pidOf(before);
  const after = await worker.supervisor({ runtimeDir: '/dev/null/run' });
  await expect(after.stopForGood()).rejects.toMatchObject({ code: 'DAAS_AGENT_NO_RIGHTS' });
  expect(isRunning(pid)).toBe(false);
  expect(await after.runningPods()).toBe(0);
});

test('an agent of an earlier life is stopped before a new one starts; its pods live on', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { env: { K3S_STANDIN_PODS: '1' } });
  // The first life's supervision is given no chance to restart what the second one stops.
  const before = await worker.supervisor({ crashBudget: { crashes: 1, windowMs: 60_000 } });
  await before.start({ join: world.mintCredential(), ...noLabels }, forever);
  await until(async () => (await before.runningPods()) === 1);
  const first = pidOf(before);
  const after = await worker.supervisor();
  await after.preflight(forever);
  expect(isRunning(first)).toBe(false);
  expect(await after.runningPods()).toBe(1);
  await after.start({ join: undefined, ...noLabels }, forever);
  expect(await after.runningPods()).toBe(1);
});

test('a host that is killed leaves an agent that dies at its next line or is stopped by the next host; pods live on', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { env: { K3S_STANDIN_PODS: '1' } });
  const { host, agentPid } = await worker.lonelyHost(world.mintCredential());
  await until(() => shimsNaming(worker.containerdAddress).length > 0);
  const shims = shimsNaming(worker.containerdAddress);
  const gone = once(host, 'exit');
  host.kill('SIGKILL');
  await gone;
  expect(isRunning(agentPid)).toBe(true);

  const supervisor = await worker.supervisor();
  await supervisor.preflight(forever);
  expect(isRunning(agentPid)).toBe(false);
  await supervisor.start({ join: undefined, ...noLabels }, forever);
  expect(shimsNaming(worker.containerdAddress)).toEqual(shims);
});

test('an agent whose host is gone dies when it has something to say', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const { host, agentPid } = await worker.lonelyHost(world.mintCredential());
  host.kill('SIGKILL');
  world.deleteNode('w1');
  await until(() => !isRunning(agentPid));
});

test('pods that the API server binds to the node run, are counted and end with their object', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const supervisor = await worker.supervisor();
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  const pods = resourceNamed('pods');
  world.server.store.create(pods, {
    metadata: { name: 'web', namespace: 'default' },
    spec: { nodeName: 'w1', containers: [{ name: 'web', image: 'web' }] },
  });
  await until(async () => (await supervisor.runningPods()) === 1);
  await until(() => JSON.stringify(world.server.store.get(pods, 'default', 'web')).includes('"Running"'));
  world.server.store.remove(pods, 'default', 'web');
  await until(async () => (await supervisor.runningPods()) === 0);
});

test('usage is measured in percent', async () => {
  await using world = await startAgentWorld();
  const supervisor = await (await world.worker('w1')).supervisor();
  for (const value of Object.values(await supervisor.resourceUsage())) {
    expect(value).toBeGreaterThanOrEqual(0);
    expect(value).toBeLessThanOrEqual(100);
  }
});

test('a host on a copied state directory ends before it touches the agent of the first', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const { host, agentPid } = await worker.lonelyHost(world.mintCredential());
  // The journal of the worker is that of the host that runs: a copy of it says the same.
  const second = await worker.supervisor();
  await expect(second.preflight(forever)).rejects.toMatchObject({ code: 'DAAS_NODE_CLONED', exitCode: 77 });
  expect(isRunning(agentPid)).toBe(true);
  host.kill('SIGKILL');
  await once(host, 'exit');
  await second.preflight(forever);
  expect(isRunning(agentPid)).toBe(false);
});
