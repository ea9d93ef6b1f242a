// Runs a program in our place, under another Node: signals and the exit code pass through. Plain JavaScript, as its callers.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** Resolves with the exit code of the child, 128 and the number for one that a signal has ended; throws if it cannot start. */
export async function runChild(program, argv, options = {}) {
  // Listened for before the child is there: a signal that comes in between must not leave it behind.
  let child;
  const early = [];
  const pass = (signal) => {
    if (child === undefined) return void early.push(signal);
    // A Ctrl-C reaches everybody in the foreground. Passed on, it would be a second one, and that hurries the end.
    if (signal === 'SIGTERM' || !isInForeground()) child.kill(signal);
  };
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const signal of signals) process.on(signal, pass);
  try {
    child = spawn(program, argv, { stdio: 'inherit', ...options });
    return await new Promise((resolve, reject) => {
      for (const signal of early) pass(signal);
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)));
    });
  } finally {
    for (const signal of signals) process.off(signal, pass);
  }
}

/** Whether our process group is the one that the terminal, if there is one, sends its signals to. */
function isInForeground() {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    // After the name, which may hold anything: state, parent, group, session, terminal, the terminal's group.
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foreground;
  } catch {
    return false;
  }
}
