import { createHash } from 'node:crypto';
import { toHex } from './bytes.ts';
import { Refusal } from './examination.ts';
import { type EvidenceProvider, expectBound, expectReportData, failed, missing } from './provider.ts';
import { tpmExtraDataOf } from './report-data.ts';
import { encodeTpmEnvelope, TPM_PCRS } from './tpm.ts';
import { readTpmQuote } from './tpm-structures.ts';
import { TPM_DEVICE, type TpmAccess, type TpmTools, tpmNeeds, withTpmTools } from './tpm-tools.ts';

export interface TpmProviderOptions extends TpmAccess {
  /** The attestation key: a persistent handle (`0x81010002`), or the absolute path of a context file; `undefined`: none was named. */
  readonly attestationKey: string | undefined;
  /** Numbers of PCRs of the SHA-256 bank. */
  readonly pcrs?: readonly number[];
}

const NEEDED = ['tpm2_quote', 'tpm2_pcrread', 'tpm2_readpublic'] as const;

/** A quote of a TPM 2.0, by tpm2-tools. The key is made once, by the operator: a policy names it. */
export function tpmProvider(options: TpmProviderOptions): EvidenceProvider {
  return {
    name: 'tpm',
    async find() {
      const need = await needOf(options);
      return {
        isHere: need === undefined,
        what: need ?? `${options.tcti ?? TPM_DEVICE}, key ${options.attestationKey}`,
      };
    },
    async provide(reportData, signal) {
      const need = await needOf(options);
      if (need !== undefined) throw missing('the TPM', need);
      const bound = expectReportData(reportData);
      const bytes = await withTpmTools(options, signal, (tools) => envelope(options, bound, tools));
      return { evidence: expectBound({ kind: 'tpm', bytes, collateral: [] }, bound, 'the TPM') };
    },
  };
}

async function needOf(options: TpmProviderOptions): Promise<string | undefined> {
  const { attestationKey } = options;
  const need = await tpmNeeds(options, NEEDED);
  if (need !== undefined) return need;
  if (attestationKey === undefined)
    return 'no attestation key was named (--attestation-key): docs/attestation.md makes one';
  if (/^(?:0x81[0-9a-f]{6}|\/.+)$/i.test(attestationKey)) return undefined;
  return `'${attestationKey}' is no attestation key: pass a persistent handle such as 0x81010002, or the path of a context file`;
}

async function envelope(
  { attestationKey = '', pcrs = TPM_PCRS }: TpmProviderOptions,
  reportData: Buffer,
  { file, read, run }: TpmTools,
): Promise<Buffer> {
  const indexes = [...new Set(pcrs)].toSorted((one, other) => one - other);
  const selection = `sha256:${indexes.join(',')}`;
  await run('tpm2_readpublic', ['-Q', '-c', attestationKey, '-f', 'tss', '-o', file('key')]);
  const quoted = ['-l', selection, '-q', toHex(tpmExtraDataOf(reportData)), '-g', 'sha256'];
  const written = ['-m', file('quote'), '-s', file('signature')];
  // Something may be measured between the two: then the values are not those that were signed.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await run('tpm2_quote', ['-Q', '-c', attestationKey, ...quoted, ...written]);
    await run('tpm2_pcrread', ['-Q', selection, '-o', file('pcrs')]);
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
