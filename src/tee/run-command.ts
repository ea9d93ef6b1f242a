import { messageOf } from '#base';
import { askProgram } from '#infrastructure';
import { toHex } from './bytes.ts';
import type { CommandOutcome } from './command.ts';
import type { Evidence } from './evidence.ts';
import type { Policy } from './policy.ts';
import { LONGEST } from './verify.ts';

/**
 * Runs the program that the policy names for evidence of the kind `command`: one line of JSON in (`format`, `evidence` in
 * base64, `reportData` in hexadecimal or null, `nowMs`), one JSON object out. A program that others can write is not run, nor one
 * for evidence that is too long.
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
  const { program, arguments: words, timeout } = chosen;
  if (bytes.length > LONGEST.command)
    return { kind: 'failed', message: `${program} is not asked: the evidence has ${bytes.length} bytes` };
  const question = {
    format,
    evidence: Buffer.from(bytes).toString('base64'),
    reportData: reportData ? toHex(reportData) : null,
    nowMs,
  };
  const call = {
    program,
    arguments: words,
    timeoutMs: timeout,
    input: `${JSON.stringify(question)}\n`,
    origin: 'accept.command.programs of the policy',
  };
  try {
    return { kind: 'answered', output: (await askProgram(call, signal)).toString() };
  } catch (error) {
    return { kind: 'failed', message: `${program} failed: ${messageOf(error).trim()}` };
  }
}
