import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** One JSON line that a process wrote. */
export type Line = Readonly<Record<string, unknown>>;

export interface ProgramOptions {
  readonly name: string;
  /** Arguments after `k3s-daas`. */
  readonly args: readonly string[];
  /** Everything the process writes is kept here too. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What runs instead of our own program: an executable and its first arguments. */
  readonly command?: readonly [string, ...string[]];
}

/**
 * How `k3s-daas` is run from a clone, as bin/k3s-daas does it while dist/ is not built; `K3S_DAAS_TEST_PROGRAM` is the path of an
 * installed one instead.
 */
export const ourProgram: readonly [string, ...string[]] = process.env.K3S_DAAS_TEST_PROGRAM
  ? [process.env.K3S_DAAS_TEST_PROGRAM]
  : [process.execPath, '--conditions=source', join(projectRoot, 'src', 'main.ts')];

/** What is still running when this process ends, however it ends, ends with it. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A real process of ours, its JSON lines, and its end. */
export class Program implements AsyncDisposable {
  readonly name: string;
  readonly child: ChildProcess;
  readonly lines: Line[] = [];
  /** What was written and is not JSON. */
  readonly text: string[] = [];
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #logFile: string;
  readonly #waiting = new Set<() => void>();
  readonly #listeners = new Set<(line: Line) => void>();
  #isOver = false;

  constructor({ name, args, logFile, env, cwd, command = ourProgram }: ProgramOptions) {
    this.name = name;
    this.#logFile = logFile;
    const [file, ...first] = command;
    const log = createWriteStream(logFile, { flags: 'a' });
    this.child = spawn(file, [...first, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...env },
      ...(cwd ? { cwd } : {}),
    });
    running.add(this.child);
    this.child.once('exit', () => running.delete(this.child));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        // A program's last line may come after its end.
        if (!log.writableEnded) log.write(`${line}\n`);
        this.#take(line);
      });
    }
    this.exited = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      // What it has started may hold its output open for ever.
      this.child.once('exit', () => {
        setTimeout(() => {
          for (const stream of [this.child.stdout, this.child.stderr]) stream?.destroy();
        }, 2_000).unref();
      });
      this.child.once('close', (code, signal) => {
        this.#isOver = true;
        log.end();
        this.#wake();
        resolve({ code, signal });
      });
    });
    this.exited.catch(() => undefined);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }
  get isRunning(): boolean {
    return !this.#isOver;
  }

  onLine(listener: (line: Line) => void): void {
    this.#listeners.add(listener);
  }

  #take(text: string): void {
    let line: Line | undefined;
    try {
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) line = parsed as Line;
    } catch {
      // Text of a part that does not speak JSON.
    }
    if (!line) this.text.push(text);
    else {
      this.lines.push(line);
      for (const listener of this.#listeners) listener(line);
    }
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  /** The first line, already written or yet to come, that fits; fails when the process ends or time is up without it. */
  async line(
    what: string,
    fits: (line: Line) => boolean,
    { from = 0, withinMs = 60_000 } = {},
  ): Promise<Line> {
    let next = from;
    return this.#until(
      what,
      () => {
        for (; next < this.lines.length; next += 1) {
          const line = this.lines[next];
          if (line && fits(line)) return line;
        }
        return undefined;
      },
      withinMs,
    );
  }

  async #until<T>(what: string, find: () => T | undefined, withinMs: number): Promise<T> {
    const deadline = AbortSignal.timeout(withinMs);
    for (;;) {
      const isOver = this.#isOver;
      const found = find();
      if (found !== undefined) return found;
      if (isOver || deadline.aborted)
        throw new Error(
          `${this.name} ${isOver ? 'ended' : `gave no answer within ${withinMs} ms`} without ${what}; its last lines (${this.#logFile}):\n${this.tail()}`,
        );
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          deadline.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        deadline.addEventListener('abort', wake, { once: true });
      });
    }
  }

  event(name: string, options: { from?: number; withinMs?: number } = {}): Promise<Line> {
    return this.line(`the event ${name}`, (line) => line.event === name, options);
  }

  /** Waits for a line of text that contains something. */
  async written(what: string, part: string, withinMs = 60_000): Promise<void> {
    await this.#until(
      what,
      () => (this.text.some((line) => line.includes(part)) ? true : undefined),
      withinMs,
    );
  }

  tail(count = 15): string {
    return [...this.lines.slice(-count).map((line) => JSON.stringify(line)), ...this.text.slice(-count)].join(
      '\n',
    );
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#isOver) this.child.kill(signal);
  }

  /** SIGTERM, and SIGKILL when that is not enough in time. */
  async stop(withinMs = 15_000): Promise<void> {
    if (this.#isOver) return;
    this.child.kill('SIGTERM');
    const hurry = setTimeout(() => this.child.kill('SIGKILL'), withinMs);
    try {
      await this.exited;
    } finally {
      clearTimeout(hurry);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Runs one of our commands to its end and gives what it printed as JSON on stdout. */
export async function runOnce(
  options: ProgramOptions,
): Promise<{ code: number | null; lines: Line[]; tail: string }> {
  const program = new Program(options);
  const { code } = await program.exited;
  return { code, lines: program.lines, tail: program.tail() };
}
