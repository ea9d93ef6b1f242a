import { spawn } from 'node:child_process';
import { trustedFile } from './trusted-file.ts';

const LONGEST_OUTPUT = 65_536;

/** One call of a program that a setting names. */
export interface ProgramCall {
  /** Absolute path. */
  readonly program: string;
  readonly arguments: readonly string[];
  readonly timeoutMs: number;
  /** What it reads from its standard input. */
  readonly input?: string;
  /** Beside PATH, which is all that it gets of ours: secrets of this process are none of its business. */
  readonly env?: Readonly<Record<string, string>>;
  /** Who named it, for messages. */
  readonly origin: string;
  /** Default: 64 KiB. */
  readonly longestOutput?: number;
}

/**
 * Runs a program and gives what it prints. One that others can write is not run; when its time is over, it ends with all that
 * it started.
 * @throws ConfigurationError `DAAS_FILE_UNTRUSTED`; an Error that says how it failed
 */
export async function askProgram(call: ProgramCall, signal?: AbortSignal): Promise<Buffer> {
  trustedFile(call.program, { what: 'the program', origin: call.origin });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const env = { PATH: process.env.PATH ?? '', ...call.env };
  // A group of its own, which ends as a whole.
  const child = spawn(call.program, call.arguments, { env, detached: true });
  child.once('error', reject);
  // Without a free file descriptor (EMFILE) there are no pipes; the error follows.
  if (!(child as Partial<typeof child>).stdout) return promise;
  const end = (why: string) => {
    reject(new Error(why));
    // Its pipes may be held open by a child that has left the group.
    child.stdout.destroy();
    child.stderr.destroy();
    if (child.pid !== undefined) endGroup(child.pid);
  };
  const abort = () => end('it was called off');
  const timer = setTimeout(() => end(`it did not end within ${call.timeoutMs} ms`), call.timeoutMs);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  const output: Buffer[] = [];
  const complaint: Buffer[] = [];
  const collect = (chunks: Buffer[], longest: number) => {
    let length = 0;
    return (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > longest) end(`it printed more than ${longest} bytes`);
    };
  };
  child.stdout.on('data', collect(output, call.longestOutput ?? LONGEST_OUTPUT));
  child.stderr.on('data', collect(complaint, LONGEST_OUTPUT));
  child.once('close', (exitCode, killedBy) => {
    if (exitCode === 0) return resolve(Buffer.concat(output));
    const last = Buffer.concat(complaint).toString().trim().slice(-500);
    reject(new Error(`it ended with ${exitCode ?? killedBy}${last && `: ${last}`}`));
  });
  // A program that does not read its input ends it early: its answer decides, not the broken pipe.
  child.stdin.on('error', () => undefined);
  child.stdin.end(call.input);
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  });
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
