import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { base58OfId, idOfBase58 } from './base58.ts';

const hex = (bytes: Uint8Array) => `0x${Buffer.from(bytes).toString('hex')}`;

test('an id comes back from its base58 form, which fits a label value', () => {
  const ids = [hex(new Uint8Array(32)), hex(new Uint8Array(32).fill(255)), `0x${'00'.repeat(30)}0102`];
  for (let round = 0; round < 200; round += 1) ids.push(hex(randomBytes(32)));
  for (const id of ids) {
    const text = base58OfId(id);
    expect(text).toMatch(/^[A-Za-z0-9]{32,44}$/);
    expect(idOfBase58(text)).toBe(id);
  }
});

test('base58 is Bitcoin’s: leading zero bytes become ones', () => {
  // The genesis digest form of 32 bytes ending in 0x0101: 1·256 + 1 = 257 = 4·58 + 25.
  expect(base58OfId(`0x${'00'.repeat(30)}0101`)).toBe(`${'1'.repeat(30)}5S`);
});

test('a label that no id is written as is nobody’s mark', () => {
  for (const text of [
    '',
    '0OIl',
    'abc',
    `1${base58OfId(hex(new Uint8Array(32).fill(7)))}`,
    'z'.repeat(44),
    'z'.repeat(63),
  ])
    expect(idOfBase58(text), text).toBeUndefined();
});

test('what is not an id is refused by its value', () => {
  expect(() => base58OfId('0x12')).toThrow("'0x12' is not an id");
});
