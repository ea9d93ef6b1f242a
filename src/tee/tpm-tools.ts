import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DaasError, messageOf } from '#base';
import { askProgram, readBounded } from '#infrastructure';
import { isThere, missing, programIn, SYSTEM_DIRECTORIES } from './provider.ts';

export interface TpmAccess {
  /** How tpm2-tools reach the TPM (TPM2TOOLS_TCTI); default: the kernel's resource manager. */
  readonly tcti?: string | undefined;
  readonly directories?: readonly string[];
}

export const TPM_DEVICE = '/dev/tpmrm0';
const TIMEOUT_MS = 30_000;
const LONGEST_BYTES = 65_536;

/** tpm2-tools at work, in a directory of their own that is gone afterwards. */
export interface TpmTools {
  /** The path of a file in the directory. */
  readonly file: (name: string) => string;
  readonly read: (name: string) => Promise<Buffer>;
  readonly write: (name: string, content: Buffer) => Promise<void>;
  /**
   * Runs one tool; what it prints.
   * @throws `DAAS_TEE_DEVICE_FAILED`, with what the tool complains of
   */
  readonly run: (name: string, words: readonly string[], input?: string) => Promise<Buffer>;
}

/** What is missing for these tools to work; `undefined`: nothing. */
export async function tpmNeeds(
  { tcti, directories = SYSTEM_DIRECTORIES }: TpmAccess,
  tools: readonly string[],
): Promise<string | undefined> {
  if (tcti === undefined && !(await isThere(TPM_DEVICE))) return `there is no ${TPM_DEVICE}`;
  for (const name of tools)
    if (!(await programIn(directories, name))) return `there is no ${name}: install tpm2-tools`;
  return undefined;
}

export async function withTpmTools<T>(
  access: TpmAccess,
  signal: AbortSignal | undefined,
  work: (tools: TpmTools) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-evidence-'));
  const file = (name: string) => join(directory, name);
  try {
    return await work({
      file,
      read: (name) => readBounded(file(name), LONGEST_BYTES),
      write: (name, content) => writeFile(file(name), content, { mode: 0o600 }),
      run: (name, words, input) => runTool(access, { name, words, input, directory, signal }),
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface ToolCall {
  readonly name: string;
  readonly words: readonly string[];
  readonly input: string | undefined;
  readonly directory: string;
  readonly signal: AbortSignal | undefined;
}

/** The kernel's resource manager forgets by itself; a TPM that is reached without it has three places for objects and sessions each. */
async function runTool(access: TpmAccess, call: ToolCall): Promise<Buffer> {
  const forget = async (what: string) => {
    const flush = { ...call, name: 'tpm2_flushcontext', words: [what], input: undefined };
    if (access.tcti !== undefined) await callTool(access, flush).catch(() => undefined);
  };
  try {
    return await callTool(access, call);
  } catch (error) {
    await forget('-l');
    throw error;
  } finally {
    await forget('-t');
  }
}

async function callTool(
  { tcti, directories = SYSTEM_DIRECTORIES }: TpmAccess,
  { name, words, input, directory, signal }: ToolCall,
): Promise<Buffer> {
  const program = await programIn(directories, name);
  if (program === undefined) throw missing('the TPM', `there is no ${name}: install tpm2-tools`);
  const env = { HOME: directory, ...(tcti !== undefined && { TPM2TOOLS_TCTI: tcti }) };
  const call = { program, arguments: words, timeoutMs: TIMEOUT_MS, env, origin: 'it speaks with the TPM' };
  try {
    return await askProgram({ ...call, ...(input !== undefined && { input }) }, signal);
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw new DaasError('DAAS_TEE_DEVICE_FAILED', `the TPM: ${name} failed (${messageOf(cause)})`, {
      cause,
      isRetryable: true,
      details: { device: 'the TPM' },
    });
  }
}
