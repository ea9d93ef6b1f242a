import { expect, test } from 'vitest';
import { carryOut } from './carry-out.ts';
import { describeStep, stepJson } from './describe.ts';
import { lookAtMachine } from './facts.ts';
import { PretendedMachine } from './machine.fixture.ts';
import { maskedFile } from './mask.ts';
import { plainUnit } from './plain-agent.fixture.ts';
import { planRemoval } from './plan-removal.ts';
import { planWorker } from './plan-worker.ts';
import { workerRequest } from './request.fixture.ts';

const unit = '/etc/systemd/system/k3s-agent.service';
const secrets = ['in-unit', 'in-variables', 'in-config', 'in-vpn'];
const agent = {
  [unit]: plainUnit(['--token', 'K10aa::node:in-unit', '--debug', '--vpn-auth', 'joinKey=in-vpn']),
  [`${unit}.env`]: "export K3S_TOKEN='in-variables'\nK3S_DEBUG=true\n",
  '/etc/rancher/k3s/config.yaml':
    '# token: in-config\ntoken: "in-config"\nagent-token:\n  in-config\ndebug: true\n',
};

test('neither taking a plain agent over nor bringing it back prints a secret of it', async () => {
  await using machine = await PretendedMachine.withSystemd(agent);
  const look = () => lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
  const install = planWorker(await look(), workerRequest());
  await carryOut(machine, install);
  const restore = planRemoval(await look(), { role: 'worker', restoreK3s: true, programFiles: [] });
  for (const { steps } of [install, restore]) {
    const printed = [...steps.map(describeStep), JSON.stringify(steps.map(stepJson))].join('\n');
    for (const secret of secrets) expect(printed).not.toContain(secret);
    expect(printed).toContain('token: [secret]');
    expect(printed).toContain('K3S_TOKEN=[secret]');
    expect(printed).toMatch(/--token '?\[secret\]/);
    expect(printed).toContain('--debug');
  }
});

test('a step that fails does not print the secret flags of its command', async () => {
  await using machine = await PretendedMachine.withSystemd(agent);
  machine.failing.set('/usr/local/bin/k3s-daas agent --dry-run', 'no');
  const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
  const { steps } = planWorker(facts, workerRequest());
  await expect(carryOut(machine, { steps, undo: [], notes: [] })).rejects.toThrow(/--vpn-auth \[secret\]/);
});

test.each([
  ['K3S_TOKEN=hunter2', 'K3S_TOKEN=[secret]'],
  ['  export K3S_TOKEN=hunter2', 'K3S_TOKEN=[secret]'],
  ["K3S_TOKEN='one\nhunter2'\nK3S_DEBUG=true", 'K3S_TOKEN=[secret]\nK3S_DEBUG=true'],
  ['export A=1 K3S_TOKEN=hunter2', 'A=1 [secret]'],
  ['# K3S_TOKEN=hunter2', '[secret]'],
  ["K3S_TOKEN='hunter2", 'K3S_TOKEN=[secret] [secret]'],
  [
    'SUI_RPC_ENDPOINT=https://me:hunter2@rpc.example.com/x',
    'SUI_RPC_ENDPOINT=https://[secret]@rpc.example.com/x',
  ],
  [
    'SUI_RPC_ENDPOINT=https://rpc.example.com/?key=hunter2',
    'SUI_RPC_ENDPOINT=https://rpc.example.com/?[secret]',
  ],
])('of the variables %j is shown as %j', (text, expected) => {
  expect(maskedFile(`${unit}.env`, text)).toBe(expected);
});

test.each([
  ['ExecStart=/k3s agent --token hunter2 --debug', 'ExecStart=/k3s agent --token [secret] --debug'],
  ["ExecStart=/k3s agent \\\n\t'-t' \\\n\t'hunter2' \\\n", 'ExecStart=/k3s agent -t [secret]'],
  ['ExecStart=/k3s agent "--cluster-secret=hunter2 x"', 'ExecStart=/k3s agent --cluster-secret=[secret]'],
  ['ExecStart=/bin/sh -c "k3s agent --token hunter2"', 'ExecStart=/bin/sh -c k3s agent --token [secret]'],
  ['command_args="agent \\\n --vpn-auth \'hunter2\'"', 'command_args=agent --vpn-auth [secret]'],
  ['Environment="K3S_TOKEN=hunter2"', 'Environment=K3S_TOKEN=[secret]'],
  ['[Unit]\nDescription="it is"  as  written', '[Unit]\nDescription="it is"  as  written'],
])('of the unit %j is shown as %j', (text, expected) => {
  expect(maskedFile(unit, text)).toBe(expected);
  expect(maskedFile('/etc/init.d/k3s-agent', text)).toBe(expected);
});

test.each([
  ['token: hunter2\nnode-label: [a=b]\n', 'token: [secret]\nnode-label: ["a=b"]\n'],
  ['{ token: hunter2, debug: true }', 'token: [secret]\ndebug: true\n'],
  ['kubelet-arg+: [--x=hunter2]', 'kubelet-arg+: [secret]\n'],
  ['"token": |\n  hunter2\n', 'token: [secret]\n'],
  ['hunter2', '[secret]'],
  ['token: "hunter2', '[secret]'],
  ['', ''],
])('of k3s’ configuration %j, under any name, is shown as %j', (text, expected) => {
  expect(maskedFile('/srv/agent', text)).toBe(expected);
});
