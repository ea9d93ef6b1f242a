import { describe, expect, test } from 'vitest';
import { DEV_VALIDITY_MS } from './dev-chain.ts';
import { DEV_SNP_MEASUREMENT, type DevSnpOptions, devSnp } from './dev-snp.ts';
import { policyOf } from './policy.fixture.ts';
import {
  chainRows,
  describeKind,
  devPolicy,
  flip,
  hex,
  measuredRows,
  NOW,
  REPORT_DATA,
  type Rows,
  reasonsOf,
  type Trial,
  verdictOf,
} from './trial.fixture.ts';

const MINIMUM = { fmc: 1, bootloader: 4, tee: 0, snp: 23, microcode: 213 };

async function snpTrial(options: Partial<DevSnpOptions> = {}, changes: object = {}): Promise<Trial> {
  const evidence = await devSnp({ nowMs: NOW, reportData: REPORT_DATA, ...options });
  const policy = {
    measurements: [{ name: 'release', measurement: hex(DEV_SNP_MEASUREMENT), covers: 'application' }],
    minimumTcb: { Milan: { ...MINIMUM, fmc: 0 }, Genoa: { ...MINIMUM, fmc: 0 }, Turin: MINIMUM },
    ...changes,
  };
  return { evidence, policy: devPolicy('sev-snp', policy, evidence.root), reportData: REPORT_DATA };
}

const altered = (change: (report: Buffer) => unknown) => () =>
  snpTrial({ alter: (report) => void change(report) });

const snpRows: Rows<'sev-snp'> = {
  ...chainRows((options) => snpTrial(options)),
  ...measuredRows(snpTrial, (accept) => ({
    'sev-snp': {
      minimumTcb: accept['sev-snp']?.minimumTcb,
      measurements: [{ name: 'other', measurement: '11'.repeat(48) }],
    },
  })),
  'kind-not-accepted': async () => ({
    ...(await snpTrial()),
    policy: policyOf({ nitro: { measurements: 'any' } }),
  }),
  'evidence-size': async () => {
    const trial = await snpTrial();
    return { ...trial, evidence: { ...trial.evidence, bytes: Buffer.alloc(4_097) } };
  },
  'certificate-malformed': () =>
    snpTrial({
      collateral: async (items) => [{ name: 'certificate', content: Buffer.of(0x30, 0) }, ...items],
    }),
  'report-malformed': altered((report) => report.writeUInt8(1, 0x4c)),
  'version-unsupported': altered((report) => report.writeUInt32LE(4, 0)),
  'signer-unsupported': altered((report) => report.writeUInt32LE(1 << 2, 0x48)),
  'certificate-missing': () => snpTrial({ collateral: async (items) => items.slice(1) }),
  'collateral-too-old': () => snpTrial({}, { maxCollateralAge: '30m' }),
  'product-not-accepted': () => snpTrial({}, { minimumTcb: { Turin: MINIMUM } }),
  'signature-invalid': async () => {
    const trial = await snpTrial();
    return {
      ...trial,
      evidence: { ...trial.evidence, bytes: flip(Buffer.from(trial.evidence.bytes), 0x2a0) },
    };
  },
  'chip-id-masked': altered((report) => report.fill(0, 0x1a0, 0x1e0)),
  'certificate-mismatch': altered((report) => flip(report, 0x1a0)),
  'tcb-mismatch': altered((report) => flip(report, 0x180)),
  'tcb-order': altered((report) => report.writeUInt8(3, 0x1e0)),
  'tcb-outdated': () => snpTrial({}, { minimumTcb: { Milan: { ...MINIMUM, microcode: 214 } } }),
  debug: altered((report) => report.writeBigUInt64LE(0xb_0000n, 0x08)),
  'migration-allowed': altered((report) => report.writeBigUInt64LE(0x7_0000n, 0x08)),
  'vmpl-not-accepted': altered((report) => report.writeUInt32LE(1, 0x30)),
  'measurement-zero': altered((report) => report.fill(0, 0x90, 0xc0)),
  'coverage-too-small': () =>
    snpTrial({}, { measurements: [{ name: 'cloud', measurement: hex(DEV_SNP_MEASUREMENT) }] }),
};

describeKind('evidence like that of SEV-SNP', 'sev-snp', snpTrial, snpRows);

describe('beside the rows of SEV-SNP', () => {
  test.each(['path too long', 'unknown critical extension'] as const)(
    'a chain with the fault "%s" is refused',
    async (fault) => {
      expect(reasonsOf(await snpTrial({ fault }))).toEqual(['certificate-constraints']);
    },
  );

  test.each(['Milan', 'Genoa', 'Turin'] as const)(
    'the TCB of %s is read in its own layout',
    async (product) => {
      expect(reasonsOf(await snpTrial({ product }))).toEqual([]);
      for (const version of [2, 5] as const)
        expect(reasonsOf(await snpTrial({ product, version }))).toEqual([]);
    },
  );

  test('each part of a TCB counts: a VCEK of another one is refused', async () => {
    for (const tcb of [
      [2, 4, 0, 23, 213],
      [1, 5, 0, 23, 213],
      [1, 4, 1, 23, 213],
      [1, 4, 0, 24, 213],
      [1, 4, 0, 23, 214],
    ] as const)
      expect(reasonsOf(await snpTrial({ product: 'Turin', certified: { tcb } }))).toEqual(['tcb-mismatch']);
  });

  test('a report and a VCEK of two product lines are refused', async () => {
    const trial = snpTrial({ product: 'Genoa', certified: { productName: 'Milan-B0' } });
    expect(reasonsOf(await trial)).toEqual(['product-not-accepted']);
  });

  test('the chip id of Turin has eight bytes, and nothing behind them', async () => {
    const trial = snpTrial({ product: 'Turin', alter: (report) => report.writeUInt8(1, 0x1df) });
    expect(reasonsOf(await trial)).toEqual(['certificate-mismatch']);
  });

  test('every fault that leaves the rest readable is named at once', async () => {
    const trial = await snpTrial({
      alter: (report) => {
        report.writeBigUInt64LE(0xf_0000n, 0x08);
        report.writeUInt32LE(3, 0x30);
      },
    });
    const late = { ...trial, nowMs: NOW + DEV_VALIDITY_MS + 1_000 };
    expect(new Set(verdictOf(late).reasons.map(({ check }) => check))).toEqual(
      new Set(['certificate-expired', 'crl-expired', 'debug', 'migration-allowed', 'vmpl-not-accepted']),
    );
  });

  test('without expected report data the verdict says that the evidence is bound to nothing', async () => {
    const { reportData: _, ...trial } = await snpTrial();
    expect(verdictOf(trial)).toMatchObject({ accepted: true, isBound: false });
  });
});
