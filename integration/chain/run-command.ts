import { spawn } from 'node:child_process';
import { Writable } from 'node:stream';
import { Command } from 'commander';
import { createIo, type Io } from '../../src/cli/io.ts';
import { type Outcome, outcomeOf } from '../world/outcome.ts';
import { ourProgram } from '../world/program.ts';

/** Runs the program as a user does, in a directory of its own and without a terminal, to its end. */
export function runCommand(directory: string, ...args: string[]): Promise<Outcome> {
  const [file, ...first] = ourProgram;
  return outcomeOf(
    spawn(file, [...first, ...args], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: directory, NO_COLOR: '1' },
    }),
  );
}

/**
 * Runs one of the commands without a process of its own, which takes a second each. Returns what it printed; what it throws
 * is what the program reports.
 */
export async function runInProcess(
  commands: ReadonlyArray<(io: Io) => Command>,
  args: readonly string[],
): Promise<string> {
  let printed = '';
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      printed += chunk;
      done();
    },
  });
  const stderr = new Writable({ write: (_chunk, _encoding, done) => done() });
  const io = createIo({ json: args.includes('--json'), stdout, stderr });
  const program = new Command().exitOverride();
  for (const command of commands) program.addCommand(command(io));
  await program.parseAsync(args, { from: 'user' });
  return printed;
}
