import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { carryOut } from './carry-out.ts';
import { describeStep } from './describe.ts';
import { lookAtMachine } from './facts.ts';
import { PretendedMachine, plainAgent } from './machine.fixture.ts';
import { planReturn } from './plan-removal.ts';
import { planWorker } from './plan-worker.ts';
import {
  helpOfTests,
  helpWrites,
  workerPlan as plan,
  workerRemoval as removal,
  workerRequest as request,
  short,
} from './request.fixture.ts';
import type { Step } from './steps.ts';
import { workerUnit } from './units.ts';

const unit = '/etc/systemd/system/k3s-agent.service';
const variables = `${unit}.env`;
const config = '/etc/rancher/k3s/config.yaml';

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
    'write /var/lib/k3s-daas-install/worker.json',
    ...helpWrites,
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
    'directory /var/lib/k3s-daas-install',
    'write /var/lib/k3s-daas-install/worker.json',
    '/usr/local/bin/k3s-daas agent --dry-run --debug',
    `write ${unit}`,
    'systemctl daemon-reload',
    'systemctl restart k3s-agent',
    'write /var/lib/k3s-daas-install/worker.json',
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
    'write /var/lib/k3s-daas-install/worker.json',
    ...helpWrites,
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
  const commands = [
    'systemctl stop k3s-agent',
    'systemctl daemon-reload',
    'systemctl restart --no-block k3s-agent',
  ];
  expect(machine.ran).toEqual(commands);
  // Interrupted before its Node is its own, the same command goes on.
  machine.ran.length = 0;
  await carryOut(machine, await removal(machine, true));
  for (const [path, text] of Object.entries(plainAgent)) expect(await machine.text(path)).toBe(text);
  const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
  const end = planReturn(facts)?.end;
  expect(end).toBeDefined();
  if (end) await carryOut(machine, end);
  // The copies held the join token.
  expect(await machine.text('/var/lib/k3s-daas-install/worker.json')).toBeUndefined();
  expect((await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} })).record).toBe(
    undefined,
  );
});

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

test.each([
  ['the unit', unit],
  ['k3s’ configuration', config],
  ['the variables', variables],
])('%s that is a link, or a directory, is refused by name and stays', async (_, path) => {
  await using machine = await PretendedMachine.withSystemd({ ...plainAgent, '/srv/kept': 'debug: true\n' });
  const place = join(machine.root, path);
  await rm(place);
  await symlink('/srv/kept', place);
  const refusal = { code: 'DAAS_INSTALL_NOT_A_FILE', exitCode: 78 };
  await expect(plan(machine)).rejects.toMatchObject(refusal);
  await expect(plan(machine)).rejects.toThrow(`${path} is a link to /srv/kept`);
  await expect(removal(machine, false)).rejects.toMatchObject(refusal);
  await rm(place);
  await mkdir(place);
  await expect(plan(machine)).rejects.toThrow(`${path} is no regular file`);
});

test('a link in the place of k3s’ configuration, which is the server’s, is nothing to a gateway', async () => {
  await using machine = await PretendedMachine.withSystemd({
    '/srv/kept': 'debug: true\n',
    '/etc/rancher/k3s/x': '',
  });
  await symlink('/srv/kept', join(machine.root, config));
  const places = { binDir: '/usr/local/bin', environment: {} };
  expect((await lookAtMachine(machine, 'gateway', places)).notFiles.size).toBe(0);
  expect([...(await lookAtMachine(machine, 'worker', places)).notFiles.keys()]).toEqual([config]);
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
  expect(steps.map(short)[2]).toBe(`remove ${unit}.d/10-k3s-daas-keys.conf`);
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
    'write /var/lib/k3s-daas-install/worker.json',
    ...helpWrites,
  ]);
});

test('the manual page and the completions come last, restart nothing when they change, and go with the service', async () => {
  await using machine = await PretendedMachine.withSystemd();
  await carryOut(machine, await plan(machine));
  expect(await machine.text('/usr/local/share/man/man1/k3s-daas.1')).toBe('a manual');
  expect(await machine.text('/usr/local/share/zsh/site-functions/_k3s-daas')).toBe('for zsh');
  const { steps } = await plan(machine, { help: { ...helpOfTests, bash: 'for a newer bash' } });
  expect(steps.map(short)).toEqual(['write /usr/local/share/bash-completion/completions/k3s-daas']);
  expect(describeStep(steps[0] as Step)).not.toContain('\n');
  await carryOut(machine, await removal(machine, false));
  for (const write of helpWrites) expect(await machine.text(write.slice('write '.length))).toBeUndefined();
});

test('where the package of the program has brought the manual page, it is not written again', async () => {
  const manual = '/usr/share/man/man1/k3s-daas.1.gz';
  await using machine = await PretendedMachine.withSystemd({ [manual]: 'packed' });
  const { steps } = await plan(machine);
  expect(steps.map(short)).toEqual(expect.not.arrayContaining([helpWrites[0]]));
  expect(steps.map(short)).toContain(helpWrites[1]);
});

test('a /usr/local that cannot be written takes no installation back', async () => {
  await using machine = await PretendedMachine.withSystemd({
    ...plainAgent,
    '/usr/local/share': 'no directory',
  });
  const skipped: string[] = [];
  const made = await plan(machine);
  await carryOut(machine, made, { onSkipped: (step) => skipped.push(short(step)) });
  expect(skipped).toEqual(helpWrites);
  expect(machine.active).toContain('k3s-agent');
});
