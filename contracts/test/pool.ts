// A few threads that compile and run Move tests, each job under a deadline.
import { stripVTControlCharacters } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Files, Framework } from './move.ts';

/** One Move test as the Move test runner reports it. */
interface TestResult {
  readonly name: string;
  readonly passed: boolean;
}

/** The outcome of one job. `failure` says why it did not come to an end: it did not compile, or it hung. */
export interface Outcome {
  readonly tests: readonly TestResult[];
  readonly passed: boolean;
  readonly hung: boolean;
  readonly failure: string | undefined;
  /** The text of the Move test runner. */
  readonly output: string;
  readonly durationMs: number;
}

interface Reply {
  readonly passed: boolean;
  readonly output: string;
  readonly failure?: string;
}

/** Runs jobs on at most `size` threads for one framework. Close it when done. */
export class TestPool {
  readonly #framework: Framework;
  readonly #deadlineMs: number;
  readonly #idle: (Worker | undefined)[];
  readonly #waiting: ((worker: Worker | undefined) => void)[] = [];

  constructor(framework: Framework, size: number, deadlineMs: number) {
    this.#framework = framework;
    this.#deadlineMs = deadlineMs;
    // A place without a thread gets one when it is first used, and again after its thread had to be ended.
    this.#idle = Array.from({ length: size }, () => undefined);
  }

  /** Compiles the files and runs their tests. Never throws. */
  async run(files: Files): Promise<Outcome> {
    let worker = this.#idle.length > 0 ? this.#idle.pop() : await this.#next();
    const fresh = worker === undefined;
    worker ??= new Worker(new URL('./worker.ts', import.meta.url));
    const started = performance.now();
    const reply = await ask(
      worker,
      fresh ? { files, framework: this.#framework } : { files },
      this.#deadlineMs,
    );
    const durationMs = performance.now() - started;
    if (reply === 'hung') {
      await worker.terminate();
      this.#giveBack(undefined);
      const failure = `did not end within ${this.#deadlineMs} ms: a loop without end?`;
      return { tests: [], passed: false, hung: true, failure, output: '', durationMs };
    }
    this.#giveBack(worker);
    const output = stripVTControlCharacters(reply.output);
    const failure = reply.failure === undefined ? undefined : stripVTControlCharacters(reply.failure);
    return { tests: parse(output), passed: reply.passed, hung: false, failure, output, durationMs };
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    for (const worker of this.#idle) await worker?.terminate();
  }

  #next(): Promise<Worker | undefined> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #giveBack(worker: Worker | undefined): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(worker);
    else this.#idle.push(worker);
  }
}

function ask(worker: Worker, job: object, deadlineMs: number): Promise<Reply | 'hung'> {
  return new Promise((resolve) => {
    const done = (reply: Reply | 'hung'): void => {
      clearTimeout(timer);
      worker.off('message', done);
      worker.off('error', failed);
      resolve(reply);
    };
    const failed = (error: unknown): void => done({ passed: false, output: '', failure: String(error) });
    const timer = setTimeout(() => done('hung'), deadlineMs);
    worker.on('message', done);
    worker.on('error', failed);
    worker.postMessage(job);
  });
}

function parse(output: string): TestResult[] {
  const results: TestResult[] = [];
  for (const line of output.split('\n')) {
    const match = /^\[ (PASS|FAIL|TIMEOUT)\s*\] (\S+)/.exec(line);
    if (match?.[1] && match[2]) results.push({ name: match[2], passed: match[1] === 'PASS' });
  }
  return results;
}
