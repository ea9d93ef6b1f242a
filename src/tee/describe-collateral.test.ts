import { expect, test } from 'vitest';
import { children, readSequence } from './der.ts';
import { describeCollateral } from './describe-collateral.ts';
import { der } from './dev-der.ts';
import { devQuote } from './dev-intel.ts';
import { devSnp } from './dev-snp.ts';
import type { CollateralItem } from './evidence.ts';
import { NOW } from './trial.fixture.ts';

const of = (name: CollateralItem['name'], content: Uint8Array | string) =>
  describeCollateral({ name, content: Buffer.from(content) });

test('certificates, lists and the replies of Intel are described with their dates', async () => {
  const { collateral } = await devQuote({ nowMs: NOW });
  const described = collateral.map(describeCollateral);
  expect(described.map(({ name }) => name)).toContain('tcb-info');
  for (const { subject, fromMs, toMs } of described) {
    expect(subject).not.toContain('not readable');
    expect(fromMs).toBeLessThan(NOW);
    expect(toMs).toBeGreaterThan(NOW);
  }
});

test('a list without an end is described, and shows none', async () => {
  const { collateral } = await devSnp({ nowMs: NOW });
  const crl = collateral.find(({ name }) => name === 'crl');
  const [list, ...rest] = readSequence(Buffer.from(crl?.content ?? []));
  if (!list) throw new Error('no list');
  // Version, algorithm, issuer, this update; the fifth is the next update.
  const fields = children(list).filter((_, index) => index !== 4);
  const endless = der(0x30, der(0x30, ...fields.map(({ raw }) => raw)), ...rest.map(({ raw }) => raw));
  const { subject, toMs } = of('crl', endless);
  expect(subject).toBe('0 revoked');
  expect(Number.isFinite(toMs)).toBe(false);
});

test.each([
  'null',
  '7',
  '[]',
  '{"tcbInfo": null}',
  '{"tcbInfo": {"id": {"toString": 1}, "issueDate": "", "nextUpdate": ""}}',
  '{"enclaveIdentity": {"id": "QE"}}',
  'no JSON',
])('of %s it is said that it cannot be read', (text) => {
  expect(of('tcb-info', text)).toMatchObject({
    subject: expect.stringContaining('not readable') as string,
    fromMs: undefined,
  });
});
