import { mkdirSync, rmSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { carryOut } from './carry-out.ts';
import { lookAtMachine } from './facts.ts';
import { PretendedMachine, plainAgent } from './machine.fixture.ts';
import { planRemoval } from './plan-removal.ts';
import { planWorker, type WorkerRequest } from './plan-worker.ts';
import { workerRequest as request } from './request.fixture.ts';
import type { Step } from './steps.ts';
import { workerUnit } from './units.ts';

const unit = '/etc/systemd/system/k3s-agent.service';
const variables = `${unit}.env`;
const config = '/etc/rancher/k3s/config.yaml';

async function plan(machine: PretendedMachine, change: Partial<WorkerRequest> = {}) {
  const asked = request(change);
  const places = { binDir: asked.k3s.binDir, environment: asked.environment };
  return planWorker(await lookAtMachine(machine, 'worker', places), asked);
}

async function removal(machine: PretendedMachine, restoreK3s: boolean) {
  const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
  return planRemoval(facts, { role: 'worker', restoreK3s, programFiles: [] });
}

const short = (step: Step) => (step.kind === 'run' ? step.argv.join(' ') : `${step.kind} ${step.path}`);

test('a bare machine gets k3s, unit, variables and a start, in this order', async () => {
  await using machine = await PretendedMachine.withSystemd();
  const { steps, undo } = await plan(machine);
  expect(steps.map(short)).toEqual([
    'directory /var/lib/k3s-daas-install',
    'write /var/lib/k3s-daas-install/worker.json',
    `write ${variables}`,
    '/usr/local/bin/k3s-daas agent --dry-run',
    `write ${unit}`,
    'systemctl daemon-reload',
    'systemctl enable k3s-agent',
    'systemctl restart k3s-agent',
  ]);
  expect(undo).toEqual([]);
});

test('installed once, the same request changes nothing; another flag restarts the service', async () => {
  await using machine = await PretendedMachine.withSystemd();
  await carryOut(machine, await plan(machine, { flags: ['--node-label', 'disk=ssd'] }));
  expect(await machine.text(unit)).toBe(workerUnit({ flags: ['--node-label', 'disk=ssd'] }));
  expect(await machine.text(variables)).toBe('K3S_DAAS_NODE_ID=worker-1\n');
  expect(await machine.mode(variables)).toBe(0o600);
  expect(await machine.mode(unit)).toBe(0o644);
  expect((await plan(machine)).steps).toEqual([]);
  const { steps } = await plan(machine, { flags: ['--debug'] });
  expect(steps.map(short)).toEqual([
    '/usr/local/bin/k3s-daas agent --dry-run --debug',
    `write ${unit}`,
    'systemctl daemon-reload',
    'systemctl restart k3s-agent',
  ]);
});

test('a plain k3s agent is taken over: rehearsed while it runs, its flags kept, its token gone', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  machine.enabled.add('k3s-agent');
  const { steps, notes } = await plan(machine);
  expect(steps.map(short)).toEqual([
    'directory /var/lib/k3s-daas-install',
    `keep ${config}`,
    `keep ${variables}`,
    `keep ${unit}`,
    'write /var/lib/k3s-daas-install/worker.json',
    `write ${config}`,
    `write ${variables}`,
    '/usr/local/bin/k3s-daas agent --dry-run --node-label disk=ssd --debug',
    'systemctl stop k3s-agent',
    `write ${unit}`,
    'systemctl daemon-reload',
    'systemctl restart k3s-agent',
  ]);
  expect(notes.join()).toContain('K3S_TOKEN');
  await carryOut(machine, await plan(machine));
  expect(await machine.text(config)).toBe(
    '# of the operator\nnode-label:\n  - rack=3 # left\nsnapshotter: native\n',
  );
  expect(await machine.text(variables)).toBe('K3S_DAAS_NODE_ID=worker-1\nK3S_SELINUX=false\n');
  expect(await machine.text(unit)).toContain('k3s-daas agent --node-label disk=ssd --debug');
  expect((await plan(machine)).steps).toEqual([]);
});

test('one command brings plain k3s back, byte for byte, also after a second installation', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  machine.enabled.add('k3s-agent');
  await carryOut(machine, await plan(machine));
  await carryOut(machine, await plan(machine, { flags: ['--debug'] }));
  machine.ran.length = 0;
  await carryOut(machine, await removal(machine, true));
  for (const [path, text] of Object.entries(plainAgent)) expect(await machine.text(path)).toBe(text);
  expect(machine.ran).toEqual([
    'systemctl stop k3s-agent',
    'systemctl daemon-reload',
    'systemctl restart k3s-agent',
  ]);
  // The copies held the join token.
  expect(await machine.text('/var/lib/k3s-daas-install/worker.json')).toBeUndefined();
  expect((await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} })).record).toBe(
    undefined,
  );
});

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

test('uninstalled without a way back, nothing of ours is left and the operator’s configuration is as it was', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  await carryOut(machine, await plan(machine));
  await carryOut(machine, await removal(machine, false));
  expect(await machine.text(unit)).toBeUndefined();
  expect(await machine.text(variables)).toBeUndefined();
  expect(await machine.text(config)).toBe(plainAgent[config]);
  expect(machine.active.size + machine.enabled.size).toBe(0);
});

test.each([
  ['DAAS_INSTALL_K3S_SERVER', { '/var/lib/rancher/k3s/server/tls/server-ca.key': 'k' }, {}],
  [
    'DAAS_INSTALL_K3S_SERVER',
    { '/etc/systemd/system/k3s.service': 'ExecStart=/usr/local/bin/k3s server' },
    {},
  ],
  ['DAAS_K3S_CONFIG_UNREADABLE', { [config]: 'token: "x\n - [' }, {}],
  ['DAAS_INSTALL_NO_CREDENTIALS', {}, { keyMode: 'encrypted', walletKeyFile: undefined }],
] as const)('%s: %j', async (code, files, change) => {
  await using machine = await PretendedMachine.withSystemd(files);
  await expect(plan(machine, change)).rejects.toMatchObject({ code, exitCode: 78 });
});

test('a running kubelet of another distribution is named', async () => {
  await using machine = await PretendedMachine.withSystemd();
  machine.active.add('rke2-agent.service');
  await expect(plan(machine)).rejects.toThrow('rke2-agent.service');
});

test('a Node of another name is not renamed', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
  expect(() => planWorker({ ...facts, nodeName: 'machine-7' }, request())).toThrow(
    expect.objectContaining({ code: 'DAAS_INSTALL_NODE_NAME_DIFFERS' }),
  );
});

test('a sealed key is sealed once, and systemd hands it to the unit', async () => {
  await using machine = await PretendedMachine.withSystemd();
  await carryOut(machine, await plan(machine, { keyMode: 'encrypted' }));
  expect(machine.ran).toContain(
    'systemd-creds encrypt --name=wallet.key /etc/k3s-daas/wallet.key /etc/k3s-daas/credentials/worker-wallet.key.cred',
  );
  expect(await machine.text(`${unit}.d/10-k3s-daas-keys.conf`)).toBe(
    '[Service]\nLoadCredentialEncrypted=wallet.key:/etc/k3s-daas/credentials/worker-wallet.key.cred\nEnvironment=K3S_DAAS_WALLET_KEY_FILE=%d/wallet.key\n',
  );
  expect((await plan(machine, { keyMode: 'encrypted' })).steps).toEqual([]);
  expect((await plan(machine)).steps).toEqual([]);
  const { steps } = await plan(machine, { keyMode: 'file' });
  expect(steps.map(short)[0]).toBe(`remove ${unit}.d/10-k3s-daas-keys.conf`);
});

test('k3s is fetched by the version that is named, and by no other', async () => {
  await using machine = await PretendedMachine.withSystemd();
  const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
  const bare = { ...facts, k3s: undefined, architecture: 'arm64' as const };
  const k3s = { ...request().k3s, version: 'v1.36.2+k3s1' };
  expect(planWorker(bare, request({ k3s })).steps[0]).toMatchObject({
    kind: 'download',
    url: 'https://github.com/k3s-io/k3s/releases/download/v1.36.2%2Bk3s1/k3s-arm64',
    sha256: { name: 'k3s-arm64' },
  });
  expect(() => planWorker(bare, request())).toThrow('INSTALL_K3S_DAAS_K3S_VERSION');
  const skipped = { ...request().k3s, skipDownload: true };
  expect(() => planWorker(bare, request({ k3s: skipped }))).toThrow(
    expect.objectContaining({ code: 'DAAS_INSTALL_K3S_MISSING' }),
  );
});

test('under OpenRC the service of plain k3s is taken over, too', async () => {
  await using machine = await PretendedMachine.withOpenrc({
    '/etc/init.d/k3s-agent': `#!/sbin/openrc-run
supervisor=supervise-daemon
name=k3s-agent
command="/usr/local/bin/k3s"
command_args="agent \\
\t'--node-label' \\
\t'disk=ssd' \\
    >>/var/log/k3s-agent.log 2>&1"
pidfile="/var/run/k3s-agent.pid"
`,
    '/etc/rancher/k3s/k3s-agent.env': `export K3S_TOKEN='secret-word'\nexport K3S_URL='https://k3s.example.com:6443'\n`,
  });
  machine.active.add('k3s-agent');
  const { steps } = await plan(machine);
  expect(steps.map(short)).toEqual([
    'directory /var/lib/k3s-daas-install',
    'keep /etc/rancher/k3s/k3s-agent.env',
    'keep /etc/init.d/k3s-agent',
    'write /var/lib/k3s-daas-install/worker.json',
    'write /etc/rancher/k3s/k3s-agent.env',
    '/usr/local/bin/k3s-daas agent --dry-run --node-label disk=ssd',
    'rc-service k3s-agent stop',
    'write /etc/init.d/k3s-agent',
    'rc-update add k3s-agent default',
    'rc-service k3s-agent restart',
  ]);
});
