import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DaasError } from '#base';
import { askProgram, readBounded } from '#infrastructure';
import { toHex } from './bytes.ts';
import { Refusal } from './examination.ts';
import {
  type EvidenceProvider,
  expectBound,
  expectReportData,
  failed,
  isThere,
  missing,
  programIn,
  SYSTEM_DIRECTORIES,
} from './provider.ts';
import { tpmExtraDataOf } from './report-data.ts';
import { encodeTpmEnvelope, TPM_PCRS } from './tpm.ts';
import { readTpmQuote } from './tpm-structures.ts';

export interface TpmProviderOptions {
  /** The attestation key: a persistent handle (`0x81010002`), or the absolute path of a context file; `undefined`: none was named. */
  readonly attestationKey: string | undefined;
  /** Numbers of PCRs of the SHA-256 bank. */
  readonly pcrs?: readonly number[];
  /** How tpm2-tools reach the TPM (TPM2TOOLS_TCTI); default: the kernel's resource manager. */
  readonly tcti?: string | undefined;
  readonly directories?: readonly string[];
}

const DEVICE = '/dev/tpmrm0';
const NEEDED = ['tpm2_quote', 'tpm2_pcrread', 'tpm2_readpublic'] as const;
const TIMEOUT_MS = 30_000;
const LONGEST_BYTES = 65_536;

/** A quote of a TPM 2.0, by tpm2-tools. The key is made once, by the operator: a policy names it. */
export function tpmProvider(options: TpmProviderOptions): EvidenceProvider {
  return {
    name: 'tpm',
    async find() {
      const need = await needOf(options);
      return {
        isHere: need === undefined,
        what: need ?? `${options.tcti ?? DEVICE}, key ${options.attestationKey}`,
      };
    },
    async provide(reportData, signal) {
      const need = await needOf(options);
      if (need !== undefined) throw missing('the TPM', need);
      const bound = expectReportData(reportData);
      const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-evidence-'));
      try {
        const bytes = await envelope(options, bound, { directory, signal });
        return { evidence: expectBound({ kind: 'tpm', bytes, collateral: [] }, bound, 'the TPM') };
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}

async function needOf({ attestationKey, tcti, directories = SYSTEM_DIRECTORIES }: TpmProviderOptions) {
  if (tcti === undefined && !(await isThere(DEVICE))) return `there is no ${DEVICE}`;
  for (const name of NEEDED)
    if (!(await programIn(directories, name))) return `there is no ${name}: install tpm2-tools`;
  if (attestationKey === undefined)
    return 'no attestation key was named (--attestation-key): docs/attestation.md makes one';
  if (/^(?:0x81[0-9a-f]{6}|\/.+)$/i.test(attestationKey)) return undefined;
  return `'${attestationKey}' is no attestation key: pass a persistent handle such as 0x81010002, or the path of a context file`;
}

interface Work {
  readonly directory: string;
  readonly signal: AbortSignal;
}

async function envelope(options: TpmProviderOptions, reportData: Buffer, work: Work): Promise<Buffer> {
  const { attestationKey = '', pcrs = TPM_PCRS } = options;
  const indexes = [...new Set(pcrs)].toSorted((one, other) => one - other);
  const selection = `sha256:${indexes.join(',')}`;
  const tool = (name: (typeof NEEDED)[number], ...words: readonly string[]) =>
    useTool(options, work, name, words);
  const file = (name: string) => join(work.directory, name);
  const read = (name: string) => readBounded(file(name), LONGEST_BYTES);
  await tool('tpm2_readpublic', '-Q', '-c', attestationKey, '-f', 'tss', '-o', file('key'));
  // Something may be measured between the two: then the values are not those that were signed.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const quoted = ['-l', selection, '-q', toHex(tpmExtraDataOf(reportData)), '-g', 'sha256'];
    await tool(
      'tpm2_quote',
      '-Q',
      '-c',
      attestationKey,
      ...quoted,
      '-m',
      file('quote'),
      '-s',
      file('signature'),
    );
    await tool('tpm2_pcrread', '-Q', selection, '-o', file('pcrs'));
    const [quote, values] = [await read('quote'), await read('pcrs')];
    if (!isDigestOf(quote, values)) continue;
    return encodeTpmEnvelope({
      quote,
      signature: await read('signature'),
      key: await read('key'),
      pcrs: new Map(indexes.map((index, at) => [index, values.subarray(32 * at, 32 * at + 32)])),
    });
  }
  throw failed('the TPM', `the registers ${selection} changed while they were quoted, three times`);
}

function isDigestOf(quote: Buffer, values: Buffer): boolean {
  try {
    return readTpmQuote(quote).pcrDigest.equals(createHash('sha256').update(values).digest());
  } catch (cause) {
    if (cause instanceof Refusal) throw failed('the TPM', 'its quote cannot be read', cause);
    throw cause;
  }
}

async function useTool(
  { tcti, directories = SYSTEM_DIRECTORIES }: TpmProviderOptions,
  { directory, signal }: Work,
  name: string,
  words: readonly string[],
): Promise<void> {
  const program = await programIn(directories, name);
  if (program === undefined) throw missing('the TPM', `there is no ${name}: install tpm2-tools`);
  const env = { HOME: directory, ...(tcti !== undefined && { TPM2TOOLS_TCTI: tcti }) };
  const call = { program, arguments: words, timeoutMs: TIMEOUT_MS, env, origin: 'it makes evidence' };
  try {
    await askProgram(call, signal);
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw failed('the TPM', `${name} failed`, cause);
  }
}
