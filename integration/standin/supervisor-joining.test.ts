import { readFileSync } from 'node:fs';
import { access, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseFullToken } from '#agent';
import { openKubernetes, setupCluster } from '#cluster';
import { noLabels, readText, startAgentWorld, until } from './agent-world.ts';
import { childrenOf, commandLineOf, isRunning, sessionOf } from './machine-processes.ts';
import { fieldsOfK3s, forever, pidOf } from './supervisor-facts.ts';

/** How an agent gets its Node: credentials, certificates, names. */
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
  expect(world.node('w1')).toMatchObject({
    metadata: { labels: { 'k3s-daas.io/tier': 'basic', plugin: 'yes' } },
    spec: {
      taints: expect.arrayContaining([{ key: 'k3s-daas.io/staked', value: 'basic', effect: 'NoSchedule' }]),
    },
  });
  const pid = pidOf(supervisor);
  expect(supervisor.state().kind).toBe('ready');
  expect(commandLineOf(pid)[0]).toBe('k3s agent');
  // A Ctrl-C at the host's terminal does not reach it: our SIGTERM would be its second signal.
  expect(sessionOf(pid)).toBe(pid);
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
});

test('the join credential is in its file alone: not in argv, environment, journal, log or events', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { env: { K3S_DAAS_WALLET_KEY: 'planted-wallet-key' } });
  const supervisor = await worker.supervisor();
  const credential = world.mintCredential();
  const secret = parseFullToken(credential.token)?.credential.reveal() ?? '';
  await supervisor.start({ join: credential, ...noLabels }, forever);
  expect(await readText(worker.tokenPath)).toBe(credential.token.reveal());
  const seen = [
    ...childrenOf(process.pid)
      .flatMap((pid) => [pid, ...childrenOf(pid)])
      .flatMap((pid) => ['environ', 'cmdline'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8'))),
    await readText(join(world.directory, 'w1.journal')),
    JSON.stringify([worker.events, worker.log]),
  ].join('\n');
  expect(seen).not.toContain(secret);
  expect(seen).not.toContain('planted-wallet-key');
});

test('a credential that k3s prints is masked before it reaches the log', async () => {
  await using world = await startAgentWorld();
  const binary = join(world.directory, 'talkative');
  await writeFile(
    binary,
    '#!/bin/sh\nfor word; do case $word in --token-file=*) cat "$(echo "$word" | cut -d= -f2)" >&2;; esac; done\nexec sleep 60\n',
    { mode: 0o755 },
  );
  const worker = await world.worker('w1', { settings: { binary } });
  const supervisor = await worker.supervisor();
  const patience = new AbortController();
  const started = supervisor.start({ join: world.mintCredential(), ...noLabels }, patience.signal);
  started.catch(() => undefined);
  await until(() => worker.log.some(({ message }) => message === `K10${world.server.caHash}::[secret]`));
  patience.abort(new Error('seen'));
  await expect(started).rejects.toThrow('seen');
});

test('after a stop the agent starts again on its certificates, though its credential is dead', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const supervisor = await worker.supervisor();
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  const first = pidOf(supervisor);
  await supervisor.stop();
  expect(supervisor.state().kind).toBe('stopped');
  expect(isRunning(first)).toBe(false);
  expect(worker.events).toContainEqual({
    event: 'agent.exited',
    fact: { pid: first, exitCode: 0, signal: undefined },
  });
  expect(worker.events).toContainEqual({ event: 'agent.stopped', fact: { pid: first, killedPids: [] } });
  world.deleteCredentials();
  const uid = world.node('w1')?.metadata.uid;
  await supervisor.start({ join: undefined, ...noLabels }, forever);
  expect(world.node('w1')?.metadata.uid).toBe(uid);
});

test('after a reboot a dead token with the right hash takes the place of the credential', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const before = await worker.supervisor();
  await before.start({ join: world.mintCredential(), ...noLabels }, forever);
  await before.stop();
  world.deleteCredentials();
  await unlink(worker.tokenPath);
  const after = await worker.supervisor();
  await after.preflight(forever);
  await after.start({ join: undefined, ...noLabels }, forever);
  expect(await readText(worker.tokenPath)).toBe(`K10${world.server.caHash}::000000.0000000000000000`);
});

test('without a credential and without an earlier join there is nothing to start', async () => {
  await using world = await startAgentWorld();
  const supervisor = await (await world.worker('w1')).supervisor();
  await expect(supervisor.start({ join: undefined, ...noLabels }, forever)).rejects.toMatchObject({
    code: 'DAAS_AGENT_NEVER_JOINED',
  });
});

test('a credential that the server rejects ends in exit 75 with the words of k3s', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1', { settings: { joinDeadlineMs: 6_000 } });
  const supervisor = await worker.supervisor();
  const credential = world.mintCredential();
  world.deleteCredentials();
  await expect(supervisor.start({ join: credential, ...noLabels }, forever)).rejects.toMatchObject({
    code: 'DAAS_JOIN_DEADLINE',
    exitCode: 75,
    message: expect.stringContaining('not authorized'),
  });
  const { pid } = (await worker.heard('agent.started')) as { pid: number };
  expect(isRunning(pid)).toBe(false);
  expect(await worker.heard('agent.refused')).toMatchObject({
    pid,
    hadJoinCredential: true,
    reason: expect.stringContaining('not authorized'),
  });
  expect(worker.events.filter(({ event }) => event === 'agent.refused')).toHaveLength(1);
});

test('a server whose CA is another one is not joined', async () => {
  await using world = await startAgentWorld();
  await using other = await startAgentWorld();
  const worker = await world.worker('w1', { settings: { joinDeadlineMs: 6_000 } });
  const supervisor = await worker.supervisor();
  const join = { ...world.mintCredential(), server: other.server.url };
  await expect(supervisor.start({ join, ...noLabels }, forever)).rejects.toMatchObject({
    code: 'DAAS_JOIN_DEADLINE',
    message: expect.stringContaining('token CA hash does not match'),
  });
});

test.each([
  ['right', 480_000],
  ['wrong by hours', -3 * 3_600_000],
])(
  'when its Node was deleted a fresh credential brings it back, past its old certificate, on a clock that is %s',
  async (_clock, lifeMs) => {
    await using world = await startAgentWorld();
    const worker = await world.worker('w1');
    const supervisor = await worker.supervisor();
    await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
    const pid = pidOf(supervisor);
    const uid = world.node('w1')?.metadata.uid;
    world.deleteNode('w1');
    await until(() => worker.log.some(({ fields }) => fieldsOfK3s(fields).err === 'node "w1" not found'));
    expect(isRunning(pid)).toBe(true);
    expect(world.node('w1')).toBeUndefined();

    const credential = { ...world.mintCredential(), expiresAtMs: Date.now() + lifeMs };
    await supervisor.start({ join: credential, ...noLabels }, forever);
    expect(pidOf(supervisor)).not.toBe(pid);
    expect(isRunning(pid)).toBe(false);
    expect(world.node('w1')?.metadata.uid).not.toBe(uid);
    await expect(access(join(worker.dataDir, 'agent', 'client-kubelet.crt.aside'))).rejects.toThrow();
  },
);

test('a credential is needed without an agent, or without its Node, and not while the Node is Ready', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const supervisor = await worker.supervisor();
  expect(await supervisor.needsCredential(forever)).toBe(true);
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  expect(await supervisor.needsCredential(forever)).toBe(false);
  world.deleteNode('w1');
  expect(await supervisor.needsCredential(forever)).toBe(true);
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  expect(await supervisor.needsCredential(forever)).toBe(false);
  await supervisor.stop();
  expect(await supervisor.needsCredential(forever)).toBe(true);
});

test('when its Node was deleted and no credential comes, the refusal is told and the deadline holds', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const supervisor = await worker.supervisor();
  await supervisor.start({ join: world.mintCredential(), ...noLabels }, forever);
  await supervisor.stop();
  world.deleteNode('w1');
  world.deleteCredentials();
  const again = await worker.supervisor({ joinDeadlineMs: 2500 });
  await expect(again.start({ join: undefined, ...noLabels }, forever)).rejects.toMatchObject({
    exitCode: 75,
  });
  expect(await worker.heard('agent.refused')).toMatchObject({
    hadJoinCredential: false,
    reason: 'Node authorization rejected, retrying without client certificate authentication',
  });
  await access(join(worker.dataDir, 'agent', 'client-kubelet.crt'));
});

test('an agent whose name is not admitted waits, survives being killed there, and joins once it is', async () => {
  await using world = await startAgentWorld();
  const kubeconfig = { path: world.server.adminKubeconfigPath };
  await setupCluster({ kubeconfig });
  await using cluster = openKubernetes({ kubeconfig });
  const worker = await world.worker('w1');
  const supervisor = await worker.supervisor();
  const started = supervisor.start(
    {
      join: world.mintCredential(),
      nodeLabels: {},
      taints: ['k3s-daas.io/staked=basic:NoSchedule'],
      arguments: [],
    },
    forever,
  );
  const isRefused = () =>
    worker.log.some(({ message }) => message === 'Unable to register node with API server');
  await until(isRefused);
  // It has its certificates now and no Node: with those in place it could never start again.
  await access(join(worker.dataDir, 'agent', 'client-kubelet.key'));
  worker.log.length = 0;
  process.kill(pidOf(supervisor), 'SIGKILL');
  await until(isRefused);
  expect(world.node('w1')).toBeUndefined();
  await cluster.admitName({ nodeId: 'w1', tier: 'basic' });
  await started;
  expect(worker.events.filter(({ event }) => event === 'agent.exited')).toHaveLength(1);
});

test('the deadline of an agent whose name is never admitted has what the API server says', async () => {
  await using world = await startAgentWorld();
  await setupCluster({ kubeconfig: { path: world.server.adminKubeconfigPath } });
  const worker = await world.worker('w1', { settings: { joinDeadlineMs: 40_000 } });
  const supervisor = await worker.supervisor();
  await expect(
    supervisor.start({ join: world.mintCredential(), ...noLabels }, forever),
  ).rejects.toMatchObject({ exitCode: 75, message: expect.stringContaining('is not admitted') });
});

test('whoever gives up waiting stops the agent with it', async () => {
  await using world = await startAgentWorld();
  const worker = await world.worker('w1');
  const supervisor = await worker.supervisor();
  const credential = world.mintCredential();
  world.deleteCredentials();
  const patience = new AbortController();
  const started = supervisor.start({ join: credential, ...noLabels }, patience.signal);
  started.catch(() => undefined);
  const { pid } = (await worker.heard('agent.started')) as { pid: number };
  await worker.heard('agent.refused');
  patience.abort(new Error('enough'));
  await expect(started).rejects.toThrow('enough');
  expect(isRunning(pid)).toBe(false);
  // k3s ends with 1 when it is asked to stop while it joins: that is no crash.
  expect(await worker.heard('agent.exited')).toMatchObject({ pid, exitCode: 1 });
});

test('a binary that is not there is refused before anything happens', async () => {
  await using world = await startAgentWorld();
  const supervisor = await (await world.worker('w1', { settings: { binary: '/nowhere/k3s' } })).supervisor();
  await expect(supervisor.preflight(forever)).rejects.toMatchObject({
    code: 'DAAS_AGENT_BINARY_MISSING',
    exitCode: 78,
  });
});
