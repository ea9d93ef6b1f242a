import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Moment } from './mortal.ts';

/** Runs the mortal to its end: the signal that killed it, or its exit code. */
export function lifeOf(plan: string, death?: { step: string; moment: Moment }): Promise<string | number> {
  const child: ChildProcess = spawn(
    process.execPath,
    [
      '--conditions=source',
      join(import.meta.dirname, 'mortal.ts'),
      plan,
      ...(death ? [death.step, death.moment] : []),
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(signal ?? code ?? -1));
  });
}
