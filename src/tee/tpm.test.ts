import { encodeCbor } from './cbor.ts';
import { DEV_TPM_PCR, type DevTpmOptions, devTpm } from './dev-tpm.ts';
import { policyOf } from './policy.fixture.ts';
import { tpmExtraDataOf } from './report-data.ts';
import {
  describeKind,
  devPolicy,
  flip,
  hex,
  measuredRows,
  REPORT_DATA,
  type Rows,
  type Trial,
} from './trial.fixture.ts';

const TPM_PCRS = Object.fromEntries([0, 4, 11].map((index) => [index, hex(DEV_TPM_PCR)]));

async function tpmTrial(options: DevTpmOptions = {}, changes: object = {}): Promise<Trial> {
  const evidence = devTpm({ extraData: tpmExtraDataOf(REPORT_DATA), ...options });
  const policy = {
    attestationKeys: [evidence.keyName],
    measurements: [{ name: 'release', pcrs: TPM_PCRS }],
    ...changes,
  };
  return {
    evidence,
    policy: devPolicy('tpm', policy, undefined, 'firmware, kernel, initrd'),
    reportData: REPORT_DATA,
  };
}

/** Adds bytes within a CBOR item that is complete, so that only the inner structure has them. */
const appended = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.of(0)]);
const tpmBytes = async (change: (bytes: Buffer) => Buffer): Promise<Trial> => {
  const trial = await tpmTrial();
  return { ...trial, evidence: { ...trial.evidence, bytes: change(Buffer.from(trial.evidence.bytes)) } };
};

const tpmRows: Rows<'tpm'> = {
  ...measuredRows(tpmTrial, (accept) => ({
    tpm: { ...accept.tpm, measurements: [{ name: 'other', pcrs: { 0: '11'.repeat(32) } }] },
  })),
  'kind-not-accepted': async () => ({
    ...(await tpmTrial()),
    policy: policyOf({ nitro: { measurements: 'any' } }),
  }),
  'evidence-size': () => tpmBytes(() => Buffer.alloc(16_385)),
  'cbor-malformed': () => tpmBytes((bytes) => bytes.subarray(0, bytes.length - 1)),
  'cbor-duplicate-key': () =>
    tpmBytes((bytes) =>
      Buffer.concat([Buffer.of(0xa5), encodeCbor('key'), encodeCbor(null), bytes.subarray(1)]),
    ),
  'trailing-bytes': () => tpmTrial({ alter: appended }),
  'field-invalid': () =>
    tpmTrial({ alterEnvelope: (envelope) => ({ ...envelope, pcrs: new Map([[0, Buffer.alloc(20)]]) }) }),
  'quote-malformed': () => tpmTrial({ alter: (quote) => flip(quote, 0) }),
  'signer-unsupported': () => tpmTrial({ alterKey: (key) => flip(key, 2 + 3) }),
  'key-attributes': () => tpmTrial({ attributes: 0x0004_0072 }),
  'attestation-key-unknown': () => tpmTrial({}, { attestationKeys: ['00'.repeat(34)] }),
  'signature-invalid': () =>
    tpmTrial({
      alterEnvelope: (envelope) => ({ ...envelope, quote: flip(Buffer.from(envelope.quote), 50) }),
    }),
  'pcr-digest-mismatch': () =>
    tpmTrial({
      alterEnvelope: (envelope) => ({
        ...envelope,
        pcrs: new Map([...envelope.pcrs, [7, Buffer.alloc(32, 1)]]),
      }),
    }),
  'clock-unsafe': () => tpmTrial({ isClockSafe: false }),
  'measurement-zero': () =>
    tpmTrial({
      pcrs: new Map([
        [0, DEV_TPM_PCR],
        [4, DEV_TPM_PCR],
        [11, Buffer.alloc(32)],
      ]),
    }),
  'coverage-too-small': () =>
    tpmTrial({}, { measurements: [{ name: 'firmware', pcrs: { 0: hex(DEV_TPM_PCR) } }] }),
};

describeKind('evidence like that of a TPM', 'tpm', tpmTrial, tpmRows);
