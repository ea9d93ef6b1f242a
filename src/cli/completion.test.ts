import { execFile } from 'node:child_process';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { completionScript } from './completion-scripts.ts';

function program(): Command {
  const tree = new Command('k3s-daas').option('--json', 'print JSON');
  const gateway = new Command('gateway').description("Runs the operator's gateway. More.");
  gateway.addCommand(new Command('nodes').description('Lists nodes.').option('--state <state>', 'by state'));
  gateway.addCommand(new Command('run').description('Runs it.'));
  return tree.addCommand(gateway).addCommand(new Command('agent').option('--dry-run', 'send nothing'));
}

/** What bash would offer for the words typed; the last one is under the cursor. */
function offered(...words: string[]): Promise<string[]> {
  const script = `${completionScript(program(), 'bash')}
COMP_WORDS=(k3s-daas ${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length}
_k3s_daas
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return new Promise((resolve, reject) => {
    execFile('bash', ['--noprofile', '--norc', '-c', script], (error, stdout, stderr) =>
      error || stderr ? reject(error ?? new Error(stderr)) : resolve(stdout.split('\n').filter(Boolean)),
    );
  });
}

test('bash completes commands, commands of commands, and their flags', async () => {
  expect(await offered('')).toEqual(['gateway', 'agent', '--json', '--help']);
  expect(await offered('gate')).toEqual(['gateway']);
  expect(await offered('gateway', '')).toEqual(['nodes', 'run', '--help']);
  expect(await offered('gateway', 'nodes', '--')).toEqual(['--state', '--help']);
  expect(await offered('--json', 'agent', '--d')).toEqual(['--dry-run']);
});

test('the scripts of zsh and fish name each command with what it does, quoted', () => {
  const zsh = completionScript(program(), 'zsh');
  expect(zsh).toContain(`'gateway:Runs the operator'\\''s gateway'`);
  expect(zsh).toContain("('gateway nodes') found=(");
  const fish = completionScript(program(), 'fish');
  expect(fish).toContain(
    `-n "test (__k3s_daas_path) = ''" -f -a gateway -d 'Runs the operator'\\''s gateway'`,
  );
  expect(fish).toContain(`-n "test (__k3s_daas_path) = 'gateway nodes'" -l state -d 'by state'`);
});
