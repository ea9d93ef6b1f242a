import { describe, expect, test } from 'vitest';
import { asBuffer } from './bytes.ts';
import { CborTag, decodeCbor, encodeCbor } from './cbor.ts';
import { readCertificate } from './certificate.ts';
import { checkChain } from './chain.ts';
import { readEndorsement } from './endorsement.ts';
import { Examination, Refusal } from './examination.ts';
import { VENDOR_ROOTS } from './policy.ts';
import { reportDataOf } from './report-data.ts';
import { certificatesOf, haveVectors } from './vectors.fixture.ts';

const named = haveVectors ? '' : ' (needs K3S_DAAS_TEST_TEE_VECTORS)';

function refusalOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.check;
    throw error;
  }
}
const cborRefusal = (hex: string) => refusalOf(() => decodeCbor(Buffer.from(hex, 'hex')));

test('CBOR is written in its shortest form and read again as it was', () => {
  const value = new Map<string | number, Parameters<typeof encodeCbor>[0]>([
    ['null', null],
    ['truth', [true, false]],
    [300, Buffer.alloc(300, 1)],
    [-35, -35],
    ['large', 2n ** 60n],
    ['tagged', new CborTag(18, 'text')],
  ]);
  expect(decodeCbor(encodeCbor(value))).toEqual(value);
});

test('maps and arrays of indefinite length are read: NitroTPM documents hold one', () => {
  expect(decodeCbor(Buffer.from('bf0102ff', 'hex'))).toEqual(new Map([[1, 2]]));
  expect(decodeCbor(Buffer.from('9f0102ff', 'hex'))).toEqual([1, 2]);
});

test.each([
  ['a key twice', 'a201010102', 'cbor-duplicate-key'],
  ['a key twice in a map of indefinite length', 'bf01010102ff', 'cbor-duplicate-key'],
  ['bytes behind the item', '0100', 'trailing-bytes'],
  ['an integer longer than it must be', '1801', 'cbor-malformed'],
  ['a length longer than it must be', '580100', 'cbor-malformed'],
  ['a length beyond the end', '5bffffffffffffffff', 'cbor-malformed'],
  ['a map without its end', 'bf0102', 'cbor-malformed'],
  ['a byte string of indefinite length', '5f4101ff', 'cbor-malformed'],
  ['a floating-point number', 'f93c00', 'cbor-malformed'],
  ['undefined', 'f7', 'cbor-malformed'],
  ['text that is not UTF-8', '61ff', 'cbor-malformed'],
  ['a map key that is a byte string', 'a1410100', 'cbor-malformed'],
  ['nothing', '', 'cbor-malformed'],
  ['more nesting than any document has', `${'81'.repeat(40)}01`, 'cbor-malformed'],
])('%s is refused', (_, hex, check) => {
  expect(cborRefusal(hex)).toBe(check);
});

test('the report data binds each part at its own place', () => {
  const parts = { spki: Buffer.of(1, 2), gatewayId: 'ab', chainId: 'c', nonce: Buffer.of(3) };
  const data = reportDataOf(parts);
  expect(data).toHaveLength(64);
  // Another split of the same characters is another list of parts.
  expect(reportDataOf({ ...parts, gatewayId: 'a', chainId: 'bc' }).equals(data)).toBe(false);
  expect(reportDataOf({ ...parts, nonce: Buffer.of(4) }).equals(data)).toBe(false);
  expect(reportDataOf(parts).equals(data)).toBe(true);
});

describe.skipIf(!haveVectors)(`AMD’s own certificates${named}`, () => {
  const at = (time: string) => new Examination(Date.parse(time), Object.values(VENDOR_ROOTS));
  const chainOf = (...names: readonly string[]) =>
    certificatesOf(names)
      .map(({ content }) => readCertificate(asBuffer(content)))
      .toReversed();

  test.each(['milan', 'genoa', 'turin'])('the chains of %s begin with a root that is known', (product) => {
    for (const name of [`${product}_ask_ark.pem`, `${product}_asvk_ark.pem`]) {
      const examination = at('2024-01-01T00:00:00Z');
      checkChain(chainOf(name), examination);
      expect(examination.reasons).toEqual([]);
    }
  });

  test('the VCEK of a real Turin chip is read in Turin’s layout, and counts while it is valid', () => {
    const examination = at('2025-01-01T00:00:00Z');
    const chain = chainOf('turin_vcek.der', 'turin_ask_ark.pem');
    checkChain(chain, examination);
    expect(examination.reasons).toEqual([]);
    const [, , leaf] = chain as [unknown, unknown, (typeof chain)[number]];
    const { product, hardwareId, tcb } = readEndorsement('VCEK', leaf);
    expect({ product, hardwareId: hardwareId?.toString('hex'), tcb }).toEqual({
      product: 'Turin',
      hardwareId: '1e550a8ee5cf9f4d',
      tcb: { fmc: 0, bootloader: 0, tee: 0, snp: 0, microcode: 9 },
    });
    const early = at('2024-11-06T21:13:59Z');
    checkChain(chain, early);
    expect(early.reasons.map(({ check }) => check)).toEqual(['certificate-not-yet-valid']);
  });

  test('a VCEK does not count below another product’s ASK', () => {
    const wrong = chainOf('turin_vcek.der', 'milan_ask_ark.pem');
    expect(refusalOf(() => checkChain(wrong, at('2025-01-01T00:00:00Z')))).toBe('chain-invalid');
  });
});
