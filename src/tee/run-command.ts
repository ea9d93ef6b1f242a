import { execFile } from 'node:child_process';
import { messageOf } from '#base';
import { toHex } from './bytes.ts';
import type { CommandOutcome } from './command.ts';
import type { Evidence } from './evidence.ts';
import type { Policy } from './policy.ts';

const LONGEST_OUTPUT = 65_536;

/**
 * Runs the program that the policy names for evidence of the kind `command`: one line of JSON in (`format`, `evidence` in
 * base64, `reportData` in hexadecimal or null, `nowMs`), one JSON object out. It gets no environment but PATH: secrets of
 * this process are none of its business.
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
  const question = {
    format,
    evidence: Buffer.from(bytes).toString('base64'),
    reportData: reportData ? toHex(reportData) : null,
    nowMs,
  };
  return new Promise((resolve) => {
    const child = execFile(
      chosen.program,
      chosen.arguments,
      {
        timeout: chosen.timeout,
        killSignal: 'SIGKILL',
        maxBuffer: LONGEST_OUTPUT,
        env: { PATH: process.env.PATH ?? '' },
        ...(signal && { signal }),
      },
      (error, output) =>
        resolve(
          error
            ? { kind: 'failed', message: `${chosen.program} failed: ${messageOf(error).trim()}` }
            : { kind: 'answered', output },
        ),
    );
    // A program that does not read its input ends it early: its answer decides, not the broken pipe.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(`${JSON.stringify(question)}\n`);
  });
}
