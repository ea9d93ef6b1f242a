import { DaasError } from '#base';
import { askProgram } from '#infrastructure';
import { toHex } from './bytes.ts';
import { parseEvidence } from './evidence-file.ts';
import {
  type EvidenceProvider,
  expectBound,
  expectReportData,
  failed,
  isThere,
  missing,
  type Provided,
} from './provider.ts';

export interface ProgramProviderOptions {
  /** Absolute path; `undefined`: none was named. */
  readonly program: string | undefined;
  /** What it makes, where its output does not show it. */
  readonly kind?: string | undefined;
  /** For the kind `command`: the name of the format. */
  readonly format?: string | undefined;
  /** A device that must be there. */
  readonly device?: string;
}

const NSM = '/dev/nsm';
const TIMEOUT_MS = 30_000;
/** An evidence file with Intel’s collateral has a few hundred kilobytes. */
const LONGEST_OUTPUT = 4 * 1024 * 1024;

/**
 * Evidence by a program of the operator's: it reads one JSON line, `{"kind", "reportData": hex}`, and prints the evidence, as an
 * evidence file of this project, bytes, hexadecimal or base64.
 */
export function programProvider(options: ProgramProviderOptions): EvidenceProvider {
  return {
    name: 'program',
    async find() {
      const { program } = options;
      if (program === undefined) return { isHere: false, what: 'no program was named (--program)' };
      return { isHere: await isThere(program), what: program };
    },
    provide: async (reportData, signal) => provide(options, expectReportData(reportData), signal),
  };
}

/** Nitro enclaves answer by an ioctl of /dev/nsm, which Node has no call for: a program asks. */
export function nitroProvider(program: string | undefined, device = NSM): EvidenceProvider {
  const asking = programProvider({ program, kind: 'nitro' });
  return {
    name: 'nitro',
    async find() {
      if (!(await isThere(device)))
        return { isHere: false, what: `there is no ${device}: it is in Nitro enclaves` };
      const isHere = program !== undefined && (await isThere(program));
      return {
        isHere,
        what: isHere
          ? `${device}, by ${program}`
          : `${device} is here; name the program that asks it (--program)`,
      };
    },
    provide: (reportData, signal) => asking.provide(reportData, signal),
  };
}

async function provide(
  { program, kind, format }: ProgramProviderOptions,
  reportData: Buffer,
  signal: AbortSignal,
): Promise<Provided> {
  if (program === undefined) throw missing('the program', 'none was named (--program)');
  const output = await outputOf(program, { kind: kind ?? null, reportData: toHex(reportData) }, signal);
  const made = parseEvidence(output, program, kind);
  const evidence = { ...made, format: format ?? made.format };
  return { evidence: expectBound(evidence, reportData, program) };
}

async function outputOf(program: string, question: object, signal: AbortSignal): Promise<Buffer> {
  const call = {
    program,
    arguments: [],
    timeoutMs: TIMEOUT_MS,
    input: `${JSON.stringify(question)}\n`,
    origin: 'it was named to make evidence',
    longestOutput: LONGEST_OUTPUT,
  };
  try {
    return await askProgram(call, signal);
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw failed(program, 'it failed', cause);
  }
}
