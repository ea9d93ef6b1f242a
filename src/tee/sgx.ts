import { isZero, toHex } from './bytes.ts';
import type { Evidence } from './evidence.ts';
import { type Examination, refuse } from './examination.ts';
import { examineQuote } from './intel-quote.ts';
import type { SgxPolicy } from './policy.ts';
import type { EnclaveReport } from './quote.ts';
import type { Findings, Measured } from './verdict.ts';

/** Flags of an enclave's attributes (Intel SDM 3D, "ATTRIBUTES"). */
const FLAGS = { initialised: 1n, debug: 1n << 1n, mode64: 1n << 2n, provisionKey: 1n << 4n } as const;

/** Checks a quote of Intel SGX, of version 3. */
export function examineSgx(evidence: Evidence, policy: SgxPolicy, examination: Examination): Findings {
  const { quote, pck, statuses, advisories } = examineQuote(evidence, { tee: 'sgx', ...policy }, examination);
  if (!('sgx' in quote.body)) return refuse('version-unsupported', 'the quote has no body of SGX');
  const report = quote.body.sgx;
  checkAttributes(report, examination);
  examination.expect(
    !isZero(report.mrEnclave) && !isZero(report.mrSigner),
    'measurement-zero',
    'MRENCLAVE or MRSIGNER is zero',
  );
  return {
    claims: {
      platform: `Intel SGX, quote version ${quote.version}`,
      measurements: { mrEnclave: toHex(report.mrEnclave), mrSigner: toHex(report.mrSigner) },
      reportData: report.reportData,
      tcb: { fmspc: pck.fmspc, ...statuses },
      advisories,
      details: { isvProdId: report.isvProdId, isvSvn: report.isvSvn, attributes: toHex(report.attributes) },
    },
    measured: measuredBy(report, policy),
  };
}

function checkAttributes({ attributes }: EnclaveReport, examination: Examination): void {
  const flags = attributes.readBigUInt64LE(0);
  const text = `the enclave’s flags are 0x${flags.toString(16)}`;
  examination.expect((flags & FLAGS.debug) === 0n, 'debug', `${text}: it runs in debug mode`);
  examination.expect(
    (flags & FLAGS.initialised) !== 0n &&
      (flags & FLAGS.mode64) !== 0n &&
      (flags & FLAGS.provisionKey) === 0n,
    'attributes-not-accepted',
    `${text}: it must be initialised, 64-bit, and without the provisioning key`,
  );
}

function measuredBy(report: EnclaveReport, { measurements }: SgxPolicy): Measured | undefined {
  if (measurements === 'any') return { name: 'any', covers: 'platform only' };
  const match = measurements.find((measurement) =>
    'mrEnclave' in measurement
      ? measurement.mrEnclave === toHex(report.mrEnclave)
      : measurement.mrSigner === toHex(report.mrSigner) &&
        measurement.isvProdId === report.isvProdId &&
        report.isvSvn >= measurement.minimumIsvSvn,
  );
  // The enclave is all that runs: nothing below it is trusted.
  return match && { name: match.name, covers: 'application' };
}
