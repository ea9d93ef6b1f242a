import { spawn } from 'node:child_process';
import { messageOf } from '#base';
import { trustedFile } from '#infrastructure';
import { toHex } from './bytes.ts';
import type { CommandOutcome } from './command.ts';
import type { Evidence } from './evidence.ts';
import type { CommandPolicy, Policy } from './policy.ts';
import { LONGEST } from './verify.ts';

const LONGEST_OUTPUT = 65_536;

/**
 * Runs the program that the policy names for evidence of the kind `command`: one line of JSON in (`format`, `evidence` in
 * base64, `reportData` in hexadecimal or null, `nowMs`), one JSON object out. It gets no environment but PATH: secrets of
 * this process are none of its business. A program that others can write is not run, nor one for evidence that is too long. When
 * its time is over, it ends with all that it started.
 * @returns `undefined` when the policy names no program
 */
export async function runCommand(
  { format = '', bytes }: Evidence,
  { accept }: Policy,
  { nowMs, reportData }: { readonly nowMs: number; readonly reportData?: Uint8Array | undefined },
  signal?: AbortSignal,
): Promise<CommandOutcome | undefined> {
  const programs = accept.command?.programs ?? {};
  const chosen = Object.hasOwn(programs, format) ? programs[format] : undefined;
  if (!chosen) return undefined;
  if (bytes.length > LONGEST.command)
    return {
      kind: 'failed',
      message: `${chosen.program} is not asked: the evidence has ${bytes.length} bytes`,
    };
  const question = {
    format,
    evidence: Buffer.from(bytes).toString('base64'),
    reportData: reportData ? toHex(reportData) : null,
    nowMs,
  };
  try {
    trustedFile(chosen.program, { what: 'the program', origin: 'accept.command.programs of the policy' });
    return { kind: 'answered', output: await ask(chosen, `${JSON.stringify(question)}\n`, signal) };
  } catch (error) {
    return { kind: 'failed', message: `${chosen.program} failed: ${messageOf(error).trim()}` };
  }
}

type Program = CommandPolicy['programs'][string];

function ask(
  { program, arguments: words, timeout }: Program,
  question: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // A group of its own, which ends as a whole.
  const child = spawn(program, words, { env: { PATH: process.env.PATH ?? '' }, detached: true });
  const end = (why: string) => {
    reject(new Error(why));
    // Its pipes may be held open by a child that has left the group.
    child.stdout.destroy();
    child.stderr.destroy();
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  const abort = () => end('it was called off');
  const timer = setTimeout(() => end(`it did not end within ${timeout} ms`), timeout);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  const output: Buffer[] = [];
  const complaint: Buffer[] = [];
  const collect = (chunks: Buffer[]) => (chunk: Buffer) => {
    chunks.push(chunk);
    if (Buffer.concat(chunks).length > LONGEST_OUTPUT) end(`it printed more than ${LONGEST_OUTPUT} bytes`);
  };
  child.stdout.on('data', collect(output));
  child.stderr.on('data', collect(complaint));
  child.once('error', reject);
  child.once('close', (exitCode, killedBy) => {
    if (exitCode === 0) return resolve(Buffer.concat(output).toString());
    const last = Buffer.concat(complaint).toString().trim().slice(-500);
    reject(new Error(`it ended with ${exitCode ?? killedBy}${last && `: ${last}`}`));
  });
  // A program that does not read its input ends it early: its answer decides, not the broken pipe.
  child.stdin.on('error', () => undefined);
  child.stdin.end(question);
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  });
}
