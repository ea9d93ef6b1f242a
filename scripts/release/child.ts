import { spawnSync } from 'node:child_process';

export interface ChildOptions {
  /** It is killed when it takes longer. */
  readonly withinMs: number;
  readonly cwd?: string;
  /** Added to this process' own variables. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** What a program wrote, and how it ended. */
export interface ChildOutcome {
  /** `null`: it was killed or not found. */
  readonly exitCode: number | null;
  readonly stdout: string;
  /** Both streams, and why there is no exit code. */
  readonly output: string;
}

/** Runs a program to its end, within a time: a program that hangs does not hang the build. */
export function outcomeOfChild(
  program: string,
  args: readonly string[],
  options: ChildOptions,
): ChildOutcome {
  const { withinMs, cwd, env = {}, input } = options;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: withinMs,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
    ...(input === undefined ? {} : { input }),
  });
  const isLate = (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT';
  const why = isLate ? `it was killed after ${withinMs / 1000} s` : (error?.message ?? '');
  return { exitCode: status, stdout: stdout ?? '', output: `${stdout ?? ''}${stderr ?? ''}${why}` };
}

/** What the program wrote to standard output; an error with the end of all that it wrote if it fails or takes longer. */
export function outputOf(program: string, args: readonly string[], options: ChildOptions): string {
  const { exitCode, stdout, output } = outcomeOfChild(program, args, options);
  if (exitCode === 0) return stdout;
  const words = [program, ...args].join(' ').slice(0, 300);
  throw new Error(`${words} ended with ${exitCode ?? 'no exit code'}:\n${output.trim().slice(-2_000)}`);
}

export const MINUTE_MS = 60_000;
