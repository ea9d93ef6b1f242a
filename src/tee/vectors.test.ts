import { describe, expect, test } from 'vitest';
import type { Evidence } from './evidence.ts';
import { ANYTHING, policyOf } from './policy.fixture.ts';
import type { Policy } from './policy.ts';
import {
  haveVector,
  haveVectors,
  nitroVector,
  quoteVector,
  qvlCollateral,
  snpVector,
  spkiOf,
  sprCollateral,
  vector,
} from './vectors.fixture.ts';
import { verify } from './verify.ts';

const named = haveVectors ? '' : ' (needs K3S_DAAS_TEST_TEE_VECTORS)';
const at = (time: string): number => Date.parse(time);

/** Reports without AMD's CRLs, collateral of any age, documents of any age within their certificates. */
const LENIENT = policyOf({
  ...ANYTHING,
  nitro: { measurements: 'any', maxAge: '4h' },
  nitrotpm: { measurements: 'any', maxAge: '4h' },
  'sev-snp': { ...ANYTHING['sev-snp'], revocation: 'when-present' },
  tdx: { measurements: 'any', maxCollateralAge: '400d' },
  sgx: { measurements: 'any', maxCollateralAge: '400d' },
});

interface Outcome {
  readonly reasons: readonly string[];
}
const ACCEPTED: Outcome = { reasons: [] };
const refused = (...reasons: readonly string[]): Outcome => ({ reasons });

function outcomeOf(
  evidence: Evidence,
  time: string,
  policy: Policy = LENIENT,
  reportData?: Uint8Array,
): Outcome {
  const verdict = verify(evidence, policy, { nowMs: at(time), reportData });
  expect(verdict.accepted).toBe(verdict.reasons.length === 0);
  return { reasons: [...new Set(verdict.reasons.map(({ check }) => check))] };
}

const secondsFrom = (time: string, seconds: number): string =>
  new Date(at(time) + 1_000 * seconds).toISOString();

/** Accepted from the first second to the last, refused one second outside. */
function expectWindow(evidence: Evidence, from: string, to: string, policy: Policy = LENIENT): void {
  for (const inside of [from, to]) expect(outcomeOf(evidence, inside, policy)).toEqual(ACCEPTED);
  expect(outcomeOf(evidence, secondsFrom(from, -1), policy).reasons).not.toEqual([]);
  expect(outcomeOf(evidence, secondsFrom(to, 1), policy).reasons).not.toEqual([]);
}

describe.skipIf(!haveVectors)(`documents of real Nitro enclaves${named}`, () => {
  const valid = () => nitroVector('nondebug_valid_2022-10-13.cose');
  const bound = () => nitroVector('nondebug_2023-01-18.cose');

  test('a document that is not of debug mode is accepted in the three hours of its leaf, and not outside', () => {
    expectWindow(valid(), '2022-10-13T08:57:59Z', '2022-10-13T11:58:02Z');
    expect(outcomeOf(valid(), '2022-10-13T11:58:03Z')).toEqual(refused('certificate-expired'));
    expect(outcomeOf(valid(), '2022-10-13T08:57:58Z')).toEqual(refused('certificate-not-yet-valid'));
  });

  test('a document without user data is refused where a key must be bound', () => {
    expect(outcomeOf(valid(), '2022-10-13T09:00:00Z', LENIENT, Buffer.of(1))).toEqual(
      refused('report-data-missing'),
    );
  });

  test('a document that is bound to a key is accepted for that key alone', () => {
    const key = spkiOf('nitro/nondebug_in_certificate_2023-01-18.crt');
    const other = spkiOf('nitro/debug_2023-09-18_bound_certificate.der');
    expectWindow(bound(), '2023-01-18T13:07:13Z', '2023-01-18T16:07:16Z');
    expect(outcomeOf(bound(), '2023-01-18T13:10:00Z', LENIENT, key)).toEqual(ACCEPTED);
    expect(outcomeOf(bound(), '2023-01-18T13:10:00Z', LENIENT, other)).toEqual(
      refused('report-data-mismatch'),
    );
  });

  test('the image of one document is not that of the other', () => {
    const first = verify(valid(), LENIENT, { nowMs: at('2022-10-13T09:00:00Z') }).claims?.measurements.pcr0;
    expect(first).toMatch(/^f4d48b81a460.*142d8b$/);
    const policy = policyOf(
      { nitro: { measurements: [{ name: 'release', pcrs: { 0: first } }], maxAge: '4h' } },
      { minimumCoverage: 'application' },
    );
    expect(outcomeOf(valid(), '2022-10-13T09:00:00Z', policy)).toEqual(ACCEPTED);
    expect(outcomeOf(bound(), '2023-01-18T13:10:00Z', policy).reasons).toContain('measurement-unknown');
    const verdict = verify(valid(), policy, { nowMs: at('2022-10-13T09:00:00Z') });
    expect(verdict).toMatchObject({ measurement: 'release', covers: 'application', isBound: false });
  });

  test('documents of debug mode are true and refused', () => {
    const first = nitroVector('debug_2023-09-18.b64');
    const key = spkiOf('nitro/debug_2023-09-18_bound_certificate.der');
    expect(outcomeOf(first, '2023-09-18T15:10:00Z', LENIENT, key)).toEqual(refused('debug'));
    const second = nitroVector('debug_with_public_key.cose');
    expect(outcomeOf(second, '2022-10-12T13:55:00Z')).toEqual(refused('debug'));
    const { claims } = verify(second, LENIENT, { nowMs: at('2022-10-12T13:55:00Z') });
    expect(Buffer.from(claims?.reportData ?? []).toString()).toBe('hello, world!');
  });

  test('one bit of a register or of the signature makes the signature wrong', () => {
    for (const index of [104, valid().bytes.length - 1]) {
      const { bytes, ...rest } = valid();
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ 1;
      expect(outcomeOf({ ...rest, bytes: changed }, '2022-10-13T09:00:00Z')).toEqual(
        refused('signature-invalid'),
      );
    }
  });

  test('a document older than the policy allows is refused within its certificates', () => {
    const hour = policyOf({ nitro: { measurements: 'any', maxAge: '1h' } });
    expect(outcomeOf(valid(), '2022-10-13T09:58:02Z', hour)).toEqual(ACCEPTED);
    expect(outcomeOf(valid(), '2022-10-13T09:58:03Z', hour)).toEqual(refused('evidence-too-old'));
  });
});

const nitrotpm = 'nitrotpm/document_2026-02-03.cose';
describe.skipIf(!haveVector(nitrotpm))(`a document of a real NitroTPM (needs ${nitrotpm})`, () => {
  const document = () => nitroVector('document_2026-02-03.cose', 'nitrotpm');

  test('it is accepted at its time, with a map of indefinite length in it', () => {
    expect(outcomeOf(document(), '2026-02-03T11:00:00Z')).toEqual(ACCEPTED);
    expect(outcomeOf(document(), '2026-02-04T11:00:00Z').reasons).toContain('certificate-expired');
  });

  test('it is no document of an enclave', () => {
    expect(outcomeOf({ ...document(), kind: 'nitro' }, '2026-02-03T11:00:00Z')).toEqual(
      refused('field-invalid'),
    );
  });
});

describe.skipIf(!haveVectors)(`reports of real SEV-SNP machines${named}`, () => {
  const a = () => snpVector('milan_a_report.hex', 'milan_a_vcek.der', 'milan_ask_ark.pem');
  const b = () => snpVector('milan_b_report.bin', 'milan_b_vcek.der', 'milan_ask_ark.pem');
  const now = '2024-01-01T00:00:00Z';

  test('a report is accepted with the VCEK of its chip and TCB, while that is valid', () => {
    expectWindow(a(), '2023-04-03T19:23:43Z', '2030-04-03T19:23:43Z');
    const { claims, covers } = verify(a(), LENIENT, { nowMs: at(now) });
    expect(claims?.platform).toBe('AMD SEV-SNP, Milan, report version 2');
    expect(claims?.measurements.measurement).toMatch(/^7a1e5c26.*81841f$/);
    expect(claims?.tcb).toMatchObject({ reported: { bootloader: 3, tee: 0, snp: 8, microcode: 0x73 } });
    expect(covers).toBe('platform only');
  });

  test('a measurement of firmware covers the firmware only, and the verdict says so', () => {
    const measurement = verify(a(), LENIENT, { nowMs: at(now) }).claims?.measurements.measurement;
    const accept = {
      ...ANYTHING['sev-snp'],
      revocation: 'when-present',
      measurements: [{ name: 'cloud', measurement }],
    };
    const policy = policyOf({ 'sev-snp': accept });
    expect(verify(a(), policy, { nowMs: at(now) })).toMatchObject({
      accepted: true,
      covers: 'firmware only',
    });
    const strict = policyOf({ 'sev-snp': accept }, { minimumCoverage: 'application' });
    expect(outcomeOf(a(), now, strict)).toEqual(refused('coverage-too-small'));
  });

  test('a guest that allows debugging is true and refused', () => {
    expect(outcomeOf(b(), now)).toEqual(refused('debug'));
  });

  test('without AMD’s CRL a production policy refuses, unless it says otherwise', () => {
    const strict = policyOf({ 'sev-snp': ANYTHING['sev-snp'] });
    expect(outcomeOf(a(), now, strict)).toEqual(refused('crl-missing'));
  });

  test('a TCB below the policy’s minimum is outdated', () => {
    const minimumTcb = { Milan: { bootloader: 3, tee: 0, snp: 8, microcode: 0x74 } };
    const policy = policyOf({ 'sev-snp': { measurements: 'any', minimumTcb, revocation: 'when-present' } });
    expect(outcomeOf(a(), now, policy)).toEqual(refused('tcb-outdated'));
  });

  test('a report does not go with another chip’s VCEK, another product’s ASK or the ASK of VLEKs', () => {
    expect(outcomeOf(snpVector('milan_b_report.bin', 'milan_a_vcek.der', 'milan_ask_ark.pem'), now)).toEqual(
      refused('signature-invalid'),
    );
    for (const wrong of ['genoa_ask_ark.pem', 'milan_asvk_ark.pem'])
      expect(outcomeOf(snpVector('milan_a_report.hex', 'milan_a_vcek.der', wrong), now)).toEqual(
        refused('certificate-missing'),
      );
  });

  test('one bit of the report data makes the signature wrong', () => {
    const { bytes, ...rest } = a();
    const changed = Buffer.from(bytes);
    changed[0x50] = (changed[0x50] ?? 0) ^ 1;
    expect(outcomeOf({ ...rest, bytes: changed }, now)).toEqual(refused('signature-invalid'));
  });
});

const snpV3 = 'snp/milan_c_report_v3.bin';
describe.skipIf(!haveVector(snpV3))(`a real SEV-SNP report of version 3 (needs ${snpV3})`, () => {
  const c = () =>
    snpVector('milan_c_report_v3.bin', 'milan_c_vcek.pem', 'milan_c_ask.pem', 'milan_ask_ark.pem');

  test('it is accepted, names its product itself, and carries its report data', () => {
    expect(outcomeOf(c(), '2026-07-01T00:00:00Z')).toEqual(ACCEPTED);
    const expected = Buffer.concat([Buffer.from('attest-test-fixture-2026'), Buffer.alloc(40)]);
    expect(outcomeOf(c(), '2026-07-01T00:00:00Z', LENIENT, expected)).toEqual(ACCEPTED);
  });
});

const vlek = 'snp/milan_vlek_report_v3.bin';
describe.skipIf(!haveVector(vlek))(`a real SEV-SNP report that a VLEK signed (needs ${vlek})`, () => {
  const d = () => snpVector('milan_vlek_report_v3.bin', 'milan_vlek.der', 'milan_asvk_ark.pem');
  const now = '2025-06-01T00:00:00Z';
  const aws = 'CN=cc-us-east-2.amazonaws.com';
  const policyFor = (more: object) =>
    policyOf({ 'sev-snp': { ...ANYTHING['sev-snp'], revocation: 'when-present', maxVmpl: 1, ...more } });

  test('it is accepted of its cloud, while the VLEK of one year is valid', () => {
    expectWindow(d(), '2024-12-10T22:14:21Z', '2025-12-10T22:14:21Z', policyFor({ vlekProviders: [aws] }));
    const { claims } = verify(d(), policyFor({ vlekProviders: [aws] }), { nowMs: at(now) });
    expect(claims?.details).toMatchObject({ signer: 'VLEK', vlekProvider: aws, chipId: '00'.repeat(64) });
    expect(claims?.tcb).toMatchObject({ reported: { bootloader: 4, tee: 0, snp: 24, microcode: 0xd9 } });
  });

  test('it is refused without a word on VLEKs, of another cloud, and above the level that the policy accepts', () => {
    const other = { vlekProviders: ['CN=cc-eu-west-1.amazonaws.com'] };
    for (const [more, check] of [
      [{ vlekProviders: undefined }, 'signer-unsupported'],
      [other, 'provider-not-accepted'],
      [{ vlekProviders: [aws], maxVmpl: 0 }, 'vmpl-not-accepted'],
    ] as const)
      expect(outcomeOf(d(), now, policyFor(more))).toEqual(refused(check));
  });

  test('its VLEK does not go with the ASK of VCEKs, nor with a chip’s report, and one bit makes its signature wrong', () => {
    const policy = policyFor({ vlekProviders: [aws] });
    const wrong = snpVector('milan_vlek_report_v3.bin', 'milan_vlek.der', 'milan_ask_ark.pem');
    expect(outcomeOf(wrong, now, policy)).toEqual(refused('certificate-missing'));
    const chip = snpVector('milan_a_report.hex', 'milan_vlek.der', 'milan_asvk_ark.pem');
    expect(outcomeOf(chip, now, policy)).toEqual(refused('certificate-missing'));
    const bytes = Buffer.from(d().bytes);
    bytes.writeUInt8(bytes.readUInt8(0x90) ^ 1, 0x90);
    expect(outcomeOf({ ...d(), bytes }, now, policy)).toEqual(refused('signature-invalid'));
  });
});

describe.skipIf(!haveVectors)(`quotes of real TDX machines${named}`, () => {
  const upToDate = () =>
    quoteVector('tdx/v4_uptodate_quote.bin', qvlCollateral('tdx/v4_uptodate_collateral.json'));
  const near = () => quoteVector('tdx/v4_near_quote.hex', qvlCollateral('tdx/v4_near_collateral.json'));
  const v5Collateral = () => qvlCollateral('tdx/v5_no_tcb_level_collateral.json');
  const v5 = () => quoteVector('tdx/v5_quote.bin', v5Collateral());

  test('a quote of version 4 is up to date while its collateral counts', () => {
    expectWindow(upToDate(), '2025-06-19T10:32:27Z', '2025-07-19T10:00:35Z');
    const { claims } = verify(upToDate(), LENIENT, { nowMs: at('2025-07-01T00:00:00Z') });
    expect(claims?.tcb).toMatchObject({
      fmspc: 'b0c06f000000',
      platform: 'UpToDate',
      'quoting enclave': 'UpToDate',
      module: 'UpToDate',
    });
  });

  test('the defaults of a production policy fit what Intel publishes: a root’s CRL of a year, the rest of 30 days', () => {
    const policy = policyOf({ tdx: { measurements: 'any' } });
    expect(outcomeOf(upToDate(), '2025-07-15T00:00:00Z', policy)).toEqual(ACCEPTED);
    const root = policyOf({ tdx: { measurements: 'any', maxRootCrlAge: '90d' } });
    expect(outcomeOf(upToDate(), '2025-07-15T00:00:00Z', root)).toEqual(refused('collateral-too-old'));
  });

  test('a second quote of version 4 is up to date while its collateral counts', () => {
    expectWindow(near(), '2025-09-02T07:41:59Z', '2025-10-02T07:03:51Z');
  });

  test('a quote of version 5 is up to date while its collateral counts', () => {
    expectWindow(v5(), '2026-02-18T10:58:51Z', '2026-03-20T10:41:15Z');
    expect(verify(v5(), LENIENT, { nowMs: at('2026-03-01T00:00:00Z') }).claims?.platform).toBe(
      'Intel TDX, quote version 5',
    );
  });

  test('a platform below every TCB level is refused, in version 4 and 5', () => {
    const v4 = quoteVector('tdx/v4_no_tcb_level_quote.hex', upToDate().collateral);
    expect(outcomeOf(v4, '2025-07-01T00:00:00Z')).toEqual(refused('tcb-no-level'));
    const outdated = quoteVector('tdx/v5_no_tcb_level_quote.bin', v5Collateral());
    expect(outcomeOf(outdated, '2026-03-01T00:00:00Z')).toEqual(refused('tcb-no-level'));
  });

  test('a quote with text after its signature data is refused for that and for its TCB', () => {
    const quote = quoteVector('tdx/v4_spr_e4_quote.bin', sprCollateral());
    expect(outcomeOf(quote, '2023-07-01T01:00:00Z')).toEqual(refused('trailing-bytes', 'tcb-no-level'));
  });

  test('collateral of another platform is refused', () => {
    expect(outcomeOf({ ...upToDate(), collateral: near().collateral }, '2025-09-10T00:00:00Z')).toEqual(
      refused('collateral-mismatch'),
    );
  });

  test('collateral of several platforms in one place serves each of them', () => {
    const collateral = [...near().collateral, ...upToDate().collateral];
    expect(outcomeOf({ ...upToDate(), collateral }, '2025-07-01T00:00:00Z').reasons).not.toContain(
      'collateral-mismatch',
    );
  });

  test('a quote without collateral is refused', () => {
    const quote = quoteVector('tdx/v4_cos113_quote.bin', []);
    expect(outcomeOf(quote, '2025-07-01T00:00:00Z').reasons).toEqual(['crl-missing', 'collateral-missing']);
  });

  test('TCB info is refused once the certificate of its signer has ended', () => {
    const current = v5Collateral().map((item) =>
      item.name === 'tcb-info' ? { ...item, content: vector('tdx/v5_tcb_info.json') } : item,
    );
    const time = '2026-02-20T00:00:00Z';
    expect(outcomeOf({ ...v5(), collateral: current }, time)).toEqual(ACCEPTED);
    const [old] = sprCollateral();
    const expired = current.map((item) =>
      item.name === 'tcb-info' ? { ...item, issuerChain: old?.issuerChain } : item,
    );
    expect(outcomeOf({ ...v5(), collateral: expired }, time)).toEqual(refused('certificate-expired'));
  });

  test('one bit of header, body or quoting enclave’s report makes a signature wrong', () => {
    const flipped = (evidence: Evidence, index: number): Evidence => {
      const bytes = Buffer.from(evidence.bytes);
      bytes[index] = (bytes[index] ?? 0) ^ 1;
      return { ...evidence, bytes };
    };
    for (const index of [0x1e, 0x3c])
      expect(outcomeOf(flipped(upToDate(), index), '2025-07-01T00:00:00Z')).toEqual(
        refused('signature-invalid'),
      );
    expect(outcomeOf(flipped(upToDate(), 770), '2025-07-01T00:00:00Z')).toEqual(
      refused('qe-signature-invalid'),
    );
    expect(outcomeOf(flipped(v5(), 840), '2026-03-01T00:00:00Z')).toEqual(refused('qe-signature-invalid'));
  });

  test('one space in the TCB info makes its signature wrong', () => {
    const collateral = upToDate().collateral.map((item) =>
      item.name === 'tcb-info'
        ? {
            ...item,
            content: Buffer.from(Buffer.from(item.content).toString().replace('"version":', '"version": ')),
          }
        : item,
    );
    expect(outcomeOf({ ...upToDate(), collateral }, '2025-07-01T00:00:00Z')).toEqual(
      refused('collateral-signature-invalid'),
    );
  });

  test('collateral older than the policy allows is refused while Intel still stands by it', () => {
    const policy = policyOf({ tdx: { measurements: 'any', maxCollateralAge: '7d' } });
    expect(outcomeOf(upToDate(), '2025-07-15T00:00:00Z', policy)).toEqual(refused('collateral-too-old'));
  });
});

describe.skipIf(!haveVectors)(`a quote of a real SGX machine${named}`, () => {
  const quote = () => quoteVector('sgx/v3_quote.bin', qvlCollateral('sgx/v3_collateral.json'));
  const now = '2025-07-01T00:00:00Z';

  test('its status is refused unless the policy names it', () => {
    expect(outcomeOf(quote(), now)).toEqual(refused('tcb-status'));
    const policy = policyOf({
      sgx: {
        measurements: 'any',
        maxCollateralAge: '400d',
        tcbStatuses: ['UpToDate', 'ConfigurationAndSWHardeningNeeded'],
      },
    });
    expectWindow(quote(), '2025-06-19T10:56:11Z', '2025-07-19T10:01:18Z', policy);
    expect(verify(quote(), policy, { nowMs: at(now) }).claims?.advisories).toEqual([
      'INTEL-SA-00289',
      'INTEL-SA-00615',
    ]);
  });

  test('one bit of its header, body or quoting enclave’s report makes a signature wrong', () => {
    for (const [index, reason] of [
      [0x1e, 'signature-invalid'],
      [0x3c, 'signature-invalid'],
      [564 + 12, 'qe-signature-invalid'],
    ] as const) {
      const { bytes, ...rest } = quote();
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ 1;
      expect(outcomeOf({ ...rest, bytes: changed }, now)).toEqual(refused(reason));
    }
  });
});
