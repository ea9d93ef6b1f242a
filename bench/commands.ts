import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * CPU of commands that only ask, of the built program (`npm run build`), beside an empty program of the same Node, by turns.
 *
 * usage: node --conditions=source bench/commands.ts [turns]
 */
const turns = Number(process.argv[2] ?? 5);
const program = join(import.meta.dirname, '..', 'dist', 'k3s-daas.js');
const example = join(import.meta.dirname, '..', 'config.example.json');
const commands: Readonly<Record<string, { readonly argv: readonly string[]; readonly exitCode: number }>> = {
  help: { argv: [program, '--help'], exitCode: 0 },
  // No gateway answers there: everything but the answer.
  'gateway nodes': {
    argv: [program, 'gateway', 'nodes', '--socket', '/nowhere/operator.sock'],
    exitCode: 1,
  },
  config: { argv: [program, 'config', '--config', example], exitCode: 0 },
};

if (!existsSync(program)) {
  console.error(`there is no ${program}: npm run build`);
  process.exit(0);
}
for (let turn = 0; turn <= turns; turn += 1) {
  const bareSeconds = cpuOf(['-e', ''], 0);
  for (const [command, { argv, exitCode }] of Object.entries(commands)) {
    const seconds = cpuOf(argv, exitCode);
    // The first turn reads the files from the disk.
    if (turn > 0) console.log(JSON.stringify({ turn, command, seconds, bareSeconds }));
  }
}

/** User and system time of a process, by the shell: Node has none of its children. Another exit code measures another thing. */
function cpuOf(argv: readonly string[], exitCode: number): number {
  const script = `TIMEFORMAT="%U %S"; time "$0" "$@" >/dev/null 2>&1; test $? = ${exitCode}`;
  const said = execFileSync('bash', ['-c', `{ ${script}; } 2>&1`, process.execPath, ...argv], {
    encoding: 'utf8',
  });
  const [user = 0, system = 0] = said.trim().split(/\s+/).slice(-2).map(Number);
  return Math.round((user + system) * 1_000) / 1_000;
}
