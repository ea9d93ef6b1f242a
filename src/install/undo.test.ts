import { mkdirSync, rmSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { carryOut } from './carry-out.ts';
import { lookAtMachine } from './facts.ts';
import { PretendedMachine, plainAgent } from './machine.fixture.ts';
import { planGateway } from './plan-gateway.ts';
import { helpOfTests, helpWrites, workerPlan as plan, workerRemoval as removal } from './request.fixture.ts';

const unit = '/etc/systemd/system/k3s-agent.service';
const variables = `${unit}.env`;
const config = '/etc/rancher/k3s/config.yaml';

test.each([
  ['the rehearsal refuses', '/usr/local/bin/k3s-daas agent --dry-run'],
  ['the start fails', 'systemctl restart'],
])('when %s, plain k3s is in place again', async (_, failing) => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  machine.enabled.add('k3s-agent');
  const made = await plan(machine);
  machine.failing.set(failing, 'name_not_ours');
  const installing = carryOut(machine, made, {
    onUndo: () => machine.failing.clear(),
  });
  await expect(installing).rejects.toMatchObject({ code: 'DAAS_INSTALL_ROLLED_BACK' });
  await expect(installing).rejects.toThrow('name_not_ours');
  for (const [path, text] of Object.entries(plainAgent)) expect(await machine.text(path)).toBe(text);
  expect(machine.active.has('k3s-agent')).toBe(true);
});

test('a refused rehearsal leaves the running plain k3s and its certificate alone', async () => {
  const certificate = '/var/lib/rancher/k3s/agent/client-kubelet.crt';
  await using machine = await PretendedMachine.withSystemd({ ...plainAgent, [certificate]: 'its own' });
  machine.active.add('k3s-agent');
  machine.enabled.add('k3s-agent');
  const made = await plan(machine);
  machine.failing.set('/usr/local/bin/k3s-daas agent --dry-run', 'name_not_ours');
  machine.failing.set('systemctl restart', 'the gateway is away');
  await expect(carryOut(machine, made)).rejects.toMatchObject({ code: 'DAAS_INSTALL_ROLLED_BACK' });
  expect(machine.ran.slice(1)).toEqual(['systemctl daemon-reload']);
  expect(await machine.text(certificate)).toBe('its own');
  expect(await machine.text('/var/lib/k3s-daas-install/worker.json')).toBeUndefined();
});

test.each([
  ['not at boot before, is not at boot again', true, ['k3s-agent']],
  ['not running before, does not run again', false, []],
])('plain k3s that was %s', async (_, wasActive, running) => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  if (wasActive) machine.active.add('k3s-agent');
  const made = await plan(machine);
  const run = machine.run.bind(machine);
  machine.run = async (argv) => {
    const finished = await run(argv);
    // The host runs, and the Node does not become Ready.
    return argv[1] === 'restart' && (await machine.text(unit))?.includes('k3s-daas')
      ? { exitCode: 124, output: 'ended after 60000 ms' }
      : finished;
  };
  await expect(carryOut(machine, made)).rejects.toMatchObject({ code: 'DAAS_INSTALL_ROLLED_BACK' });
  expect([...machine.enabled]).toEqual([]);
  expect([...machine.active]).toEqual(running);
  expect(machine.ran).toContain('systemctl stop k3s-agent');
});

test('an undo goes on after a failure: plain k3s starts, and the way back is kept', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  machine.enabled.add('k3s-agent');
  const made = await plan(machine);
  machine.failing.set('systemctl restart', 'the disk is full');
  // In the place of the variables there is a directory, which no write replaces.
  const inTheWay = carryOut(machine, made, {
    onUndo: () => {
      machine.failing.clear();
      rmSync(join(machine.root, variables));
      mkdirSync(join(machine.root, variables));
    },
  });
  await expect(inTheWay).rejects.toMatchObject({
    code: 'DAAS_INSTALL_STEP_FAILED',
    message: expect.stringMatching(/the disk is full.*Undoing it failed, too: .*k3s-agent\.service\.env/s),
  });
  expect(await machine.text(unit)).toBe(plainAgent[unit]);
  expect(await machine.text(config)).toBe(plainAgent[config]);
  expect(machine.active.has('k3s-agent')).toBe(true);
  await rm(join(machine.root, variables), { recursive: true });
  await carryOut(machine, await removal(machine, true));
  for (const [path, text] of Object.entries(plainAgent)) expect(await machine.text(path)).toBe(text);
});

test('an undo does not write a file that is as it was', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  const made = await plan(machine);
  const before = statSync(join(machine.root, unit)).ino;
  machine.failing.set('/usr/local/bin/k3s-daas agent --dry-run', 'no');
  await expect(carryOut(machine, made)).rejects.toMatchObject({ code: 'DAAS_INSTALL_ROLLED_BACK' });
  expect(statSync(join(machine.root, unit)).ino).toBe(before);
});

test('a Node that is gone is made anew: the certificate that k3s would insist on goes', async () => {
  await using machine = await PretendedMachine.withSystemd({
    ...plainAgent,
    '/data/agent/client-kubelet.crt': 'dead',
    '/etc/systemd/system/k3s-agent.service.env': "K3S_DATA_DIR='/data'\n",
  });
  machine.active.add('k3s-agent');
  const made = await plan(machine);
  machine.failing.set('systemctl restart', 'the Node is gone');
  await expect(carryOut(machine, made)).rejects.toThrow('the Node is gone');
  expect(await machine.text('/data/agent/client-kubelet.crt')).toBeUndefined();
  expect(machine.ran.slice(-3)).toEqual([
    'systemctl daemon-reload',
    'systemctl restart k3s-agent',
    'systemctl restart k3s-agent',
  ]);
});

test('killed between any two steps, the same command ends where it would have, and the way back is whole', async () => {
  await using reference = await PretendedMachine.withSystemd(plainAgent);
  reference.active.add('k3s-agent');
  const { steps } = await plan(reference);
  for (const [taken] of steps.entries()) {
    await using machine = await PretendedMachine.withSystemd(plainAgent);
    machine.active.add('k3s-agent');
    machine.enabled.add('k3s-agent');
    const first = await plan(machine);
    await carryOut(machine, { ...first, steps: first.steps.slice(0, taken), undo: [] });
    await carryOut(machine, await plan(machine));
    expect(await machine.text(unit), `after ${taken} steps`).toContain('k3s-daas agent');
    expect(machine.active.has('k3s-agent')).toBe(true);
    await carryOut(machine, await removal(machine, true));
    for (const [path, text] of Object.entries(plainAgent))
      expect(await machine.text(path), `${path} after ${taken} steps`).toBe(text);
  }
});

test.each([true, false])(
  'a copy that is missing is never made up from our own files (restore: %s)',
  async (restore) => {
    await using machine = await PretendedMachine.withSystemd(plainAgent);
    machine.active.add('k3s-agent');
    await carryOut(machine, await plan(machine));
    await rm(join(machine.root, '/var/lib/k3s-daas-install/worker-0-config.yaml'));
    await expect(removal(machine, restore)).rejects.toMatchObject({
      code: 'DAAS_INSTALL_RECORD_DAMAGED',
      message: expect.stringContaining('worker-0-config.yaml'),
    });
  },
);

test('killed in the middle of a change, the same command judges it, reloads and restarts', async () => {
  await using reference = await PretendedMachine.withSystemd();
  await carryOut(reference, await plan(reference));
  const { steps } = await plan(reference, { flags: ['--debug'] });
  const begun = steps.findIndex(({ kind }) => kind === 'write');
  for (let taken = begun + 1; taken < steps.length; taken += 1) {
    await using machine = await PretendedMachine.withSystemd();
    await carryOut(machine, await plan(machine));
    const first = await plan(machine, { flags: ['--debug'] });
    await carryOut(machine, { ...first, steps: first.steps.slice(0, taken) });
    machine.ran.length = 0;
    await carryOut(machine, await plan(machine, { flags: ['--debug'] }));
    expect(machine.ran, `after ${taken} steps`).toEqual([
      '/usr/local/bin/k3s-daas agent --dry-run --debug',
      'systemctl daemon-reload',
      'systemctl restart k3s-agent',
    ]);
    expect((await plan(machine, { flags: ['--debug'] })).steps).toEqual([]);
  }
});

test('killed between any two steps, a second run that is refused brings plain k3s back, running', async () => {
  await using reference = await PretendedMachine.withSystemd(plainAgent);
  reference.active.add('k3s-agent');
  const { steps } = await plan(reference);
  // The manual page comes when the installation is whole.
  for (let taken = 0; taken < steps.length - helpWrites.length; taken += 1) {
    await using machine = await PretendedMachine.withSystemd(plainAgent);
    machine.active.add('k3s-agent');
    const first = await plan(machine);
    await carryOut(machine, { ...first, steps: first.steps.slice(0, taken), undo: [] });
    const second = await plan(machine);
    machine.failing.set('/usr/local/bin/k3s-daas agent --dry-run', 'name_not_ours');
    await expect(carryOut(machine, second), `after ${taken} steps`).rejects.toMatchObject({
      code: 'DAAS_INSTALL_ROLLED_BACK',
    });
    for (const [path, text] of Object.entries(plainAgent))
      expect(await machine.text(path), `${path} after ${taken} steps`).toBe(text);
    expect([...machine.active], `after ${taken} steps`).toEqual(['k3s-agent']);
    expect([...machine.enabled], `after ${taken} steps`).toEqual([]);
    expect(await machine.text('/var/lib/k3s-daas-install/worker.json')).toBeUndefined();
  }
});

test('a change of what was installed long ago is not undone to plain k3s', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  await carryOut(machine, await plan(machine));
  const change = await plan(machine, { flags: ['--debug'] });
  await carryOut(machine, { ...change, steps: change.steps.slice(0, 3) });
  expect((await plan(machine, { flags: ['--debug'] })).undo).toEqual([]);
});

test('a gateway whose change was killed is reloaded and restarted by the same command', async () => {
  await using machine = await PretendedMachine.withSystemd();
  const gatewayPlan = async (level: string) =>
    planGateway(await lookAtMachine(machine, 'gateway', { binDir: '/usr/local/bin', environment: {} }), {
      program: '/usr/local/bin/k3s-daas',
      environment: { K3S_DAAS_LOG_LEVEL: level },
      stateDir: '/var/lib/k3s-daas-gateway',
      serverCaFile: undefined,
      tlsKeyFile: '/etc/k3s-daas/gateway.key',
      keyMode: undefined,
      help: helpOfTests,
      skipStart: false,
      skipEnable: false,
    });
  await carryOut(machine, await gatewayPlan('info'));
  const change = await gatewayPlan('debug');
  const written = change.steps.findIndex((step) => step.kind === 'write' && step.path.endsWith('.env'));
  await carryOut(machine, { ...change, steps: change.steps.slice(0, written + 1) });
  machine.ran.length = 0;
  await carryOut(machine, await gatewayPlan('debug'));
  expect(machine.ran).toEqual(['systemctl daemon-reload', 'systemctl restart k3s-daas-gateway']);
  expect((await gatewayPlan('debug')).steps).toEqual([]);
});
