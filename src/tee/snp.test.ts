import { describe, expect, test } from 'vitest';
import { DEV_VALIDITY_MS, devCrl } from './dev-chain.ts';
import { DEV_SNP_MEASUREMENT, DEV_VLEK_PROVIDER, type DevSnpOptions, devSnp } from './dev-snp.ts';
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
  'version-unsupported': altered((report) => report.writeUInt32LE(6, 0)),
  'signer-unsupported': () => snpTrial({ signer: 'VLEK' }),
  'provider-not-accepted': () => snpTrial({ signer: 'VLEK' }, { vlekProviders: ['CN=other.example'] }),
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
      for (const version of [2, 4, 5] as const)
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

  test('a CRL counts in one form only: another outer tag, or bits behind its signature, are refused', async () => {
    const changed = (change: (crl: Buffer) => unknown) =>
      snpTrial({
        collateral: async (items) =>
          items.map((item) => {
            const content = Buffer.from(item.content);
            if (item.name === 'crl') change(content);
            return { ...item, content };
          }),
      });
    expect(reasonsOf(await changed((crl) => crl.writeUInt8(0x70, 0)))).toEqual(['crl-invalid']);
    // The signature of RSA with 2048 bits is the last 256 bytes; before it, how many bits of it do not count.
    const unused = await changed((crl) => crl.writeUInt8(1, crl.length - 257));
    expect(reasonsOf(unused)).toEqual(['crl-invalid']);
  });

  test('a guest that was launched on older firmware than the policy demands is refused', async () => {
    const trial = await snpTrial({ alter: (report) => report.writeUInt8(22, 0x1f6) });
    expect(reasonsOf(trial)).toEqual(['tcb-outdated']);
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

describe('a report that a VLEK signed', () => {
  const byVlek = (options: Partial<DevSnpOptions> = {}) =>
    snpTrial({ signer: 'VLEK', ...options }, { vlekProviders: [DEV_VLEK_PROVIDER] });

  test.each(['Milan', 'Genoa', 'Turin'] as const)(
    'of %s is accepted where the policy names its provider, and the verdict says whose key it is',
    async (product) => {
      for (const version of [2, 3, 5] as const) {
        const verdict = verdictOf(await byVlek({ product, version }));
        expect(verdict.reasons).toEqual([]);
        expect(verdict.claims?.details).toMatchObject({ signer: 'VLEK', vlekProvider: DEV_VLEK_PROVIDER });
      }
    },
  );

  test('is accepted of any provider only where the policy says so', async () => {
    expect(reasonsOf(await snpTrial({ signer: 'VLEK' }, { vlekProviders: 'any' }))).toEqual([]);
    expect(reasonsOf(await snpTrial({ signer: 'VLEK' }))).toEqual(['signer-unsupported']);
    const other = snpTrial({ signer: 'VLEK' }, { vlekProviders: ['CN=other.example'] });
    expect(reasonsOf(await other)).toEqual(['provider-not-accepted']);
  });

  test('may show a chip id, which nothing certifies; a VCEK’s report may not hide it', async () => {
    expect(reasonsOf(await byVlek({ alter: (report) => report.fill(7, 0x1a0, 0x1e0) }))).toEqual([]);
    expect(reasonsOf(await snpTrial({ alter: (report) => report.fill(0, 0x1a0, 0x1e0) }))).toEqual([
      'chip-id-masked',
    ]);
  });

  test('does not go with a VCEK, nor the report of a VCEK with a VLEK', async () => {
    expect(reasonsOf(await byVlek({ certified: { signer: 'VCEK' } }))).toEqual(['certificate-missing']);
    const vcek = snpTrial({ certified: { signer: 'VLEK' } }, { vlekProviders: 'any' });
    expect(reasonsOf(await vcek)).toEqual(['certificate-missing']);
  });

  test.each([
    ['a VLEK with a hardware id', { signer: 'VLEK', certified: { hardwareId: Buffer.alloc(64, 1) } }],
    ['a VLEK of no provider', { signer: 'VLEK', certified: { provider: '' } }],
    ['a VLEK by the key that signs the VCEKs', { signer: 'VLEK', certified: { issuer: 'VCEK' } }],
    ['a VCEK of a provider', { certified: { provider: DEV_VLEK_PROVIDER } }],
    ['a VCEK by the key that signs the VLEKs', { certified: { issuer: 'VLEK' } }],
  ] satisfies ReadonlyArray<readonly [string, Partial<DevSnpOptions>]>)(
    '%s is refused',
    async (_what, options) => {
      expect(reasonsOf(await snpTrial(options, { vlekProviders: 'any' }))).toEqual(['certificate-mismatch']);
    },
  );

  test('is of the TCB of its certificate, and by its key', async () => {
    const tcb = [0, 4, 0, 24, 213] as const;
    expect(reasonsOf(await byVlek({ certified: { tcb } }))).toEqual(['tcb-mismatch']);
    const { evidence, ...trial } = await byVlek();
    const bytes = flip(Buffer.from(evidence.bytes), 0x90);
    expect(reasonsOf({ ...trial, evidence: { ...evidence, bytes } })).toEqual(['signature-invalid']);
  });

  test('does not count when AMD revokes the key that signs VLEKs', async () => {
    const trial = byVlek({
      collateral: async (items, { root, intermediate }) => [
        ...items.filter(({ name }) => name !== 'crl'),
        { name: 'crl', content: await devCrl({ nowMs: NOW, issuer: root, revoked: [intermediate.serial] }) },
      ],
    });
    expect(reasonsOf(await trial)).toEqual(['certificate-revoked']);
  });

  test('by a key that is neither a VCEK nor a VLEK is refused', async () => {
    for (const kind of [2, 7])
      expect(reasonsOf(await byVlek({ alter: (report) => report.writeUInt32LE(kind << 2, 0x48) }))).toEqual([
        'signer-unsupported',
      ]);
  });
});
