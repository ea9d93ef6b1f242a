import { bcs } from '@mysten/sui/bcs';
import { Transaction } from '@mysten/sui/transactions';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { expect, test } from 'vitest';
import { anchorStatement, readAnchoring, readStatement } from './audit-anchor.ts';

const owner = { clusterId: normalizeSuiAddress('0xc'), gatewayId: 'gateway-1' };
const head = { sequence: 57, hash: 'ab'.repeat(32), atMs: 1_700_000_000_000 };
const nonce = new Uint8Array(16).fill(7);

test('a statement says cluster, gateway, line, hash and time, in bytes that never change', () => {
  const bytes = anchorStatement(owner, head, nonce);
  expect(readStatement(bytes, owner)).toEqual(head);
  // In order: tag, cluster, gateway, sequence, hash, time, nonce. Anchors of before must stay readable.
  expect(Buffer.from(bytes).toString('hex')).toBe(
    [
      '16',
      Buffer.from('k3s-daas/audit-head/v1').toString('hex'),
      `${'00'.repeat(31)}0c`,
      '09',
      Buffer.from('gateway-1').toString('hex'),
      '3900000000000000',
      'ab'.repeat(32),
      '0068e5cf8b010000',
      '07'.repeat(16),
    ].join(''),
  );
});

test('two statements of one line differ, so that each probe is another transaction', () => {
  expect(anchorStatement(owner, head)).not.toEqual(anchorStatement(owner, head));
});

test('a statement of another gateway, cluster or version, one with more behind it, and plain bytes say nothing', () => {
  const bytes = anchorStatement(owner, head);
  expect(readStatement(bytes, { ...owner, gatewayId: 'gateway-2' })).toBeUndefined();
  expect(readStatement(bytes, { ...owner, clusterId: '0xd' })).toBeUndefined();
  expect(readStatement(bytes, { ...owner, clusterId: '0xc' })).toEqual(head);
  const later = Uint8Array.from(bytes);
  later[22] = '2'.charCodeAt(0);
  expect(readStatement(later, owner)).toBeUndefined();
  expect(readStatement(Uint8Array.of(...bytes, 0), owner)).toBeUndefined();
  expect(readStatement(bytes.slice(0, -1), owner)).toBeUndefined();
  expect(readStatement(new Uint8Array(16), owner)).toBeUndefined();
  const tooFar = anchorStatement(owner, { ...head, sequence: Number.MAX_SAFE_INTEGER });
  expect(readStatement(tooFar, owner)).toBeDefined();
  // A time that no `Date` can say.
  expect(readStatement(anchorStatement(owner, { ...head, atMs: 8.64e15 }), owner)).toBeDefined();
  expect(readStatement(anchorStatement(owner, { ...head, atMs: 8.64e15 + 1 }), owner)).toBeUndefined();
});

async function transactionWith(...pure: readonly Uint8Array[]): Promise<Uint8Array> {
  const tx = new Transaction();
  tx.setSender('0xa');
  tx.setGasPrice(1_000);
  tx.setGasBudget(1_000_000);
  tx.setGasPayment([{ objectId: '0x9', version: '4', digest: '11111111111111111111111111111111' }]);
  for (const bytes of pure) tx.pure(bcs.vector(bcs.u8()).serialize(bytes));
  return tx.build();
}

test('a transaction names who sent it, what paid, and the head that it carries', async () => {
  const bytes = await transactionWith(new Uint8Array(16), anchorStatement(owner, head));
  expect(readAnchoring(bytes, owner)).toEqual({
    sender: normalizeSuiAddress('0xa'),
    gas: [{ objectId: normalizeSuiAddress('0x9'), version: '4' }],
    anchor: { ...head, digest: expect.stringMatching(/^[1-9A-HJ-NP-Za-km-z]{43,44}$/) },
  });
  expect(readAnchoring(await transactionWith(new Uint8Array(16)), owner).anchor).toBeUndefined();
});
