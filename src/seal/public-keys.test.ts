import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { createPublicKeys, importPublicKey } from './public-keys.ts';

const aKey = () => generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x ?? '';

test('a key that is used again is imported once', () => {
  const keys = createPublicKeys(2);
  const x = aKey();
  const imported = keys.get(x);
  expect(imported.equals(importPublicKey(x))).toBe(true);
  expect(keys.get(x)).toBe(imported);
});

test('of more keys than are kept the one longest unused is forgotten, and imported again when it is asked for', () => {
  const keys = createPublicKeys(2);
  const [first, second, third] = [aKey(), aKey(), aKey()];
  const kept = keys.get(first);
  const forgotten = keys.get(second);
  keys.get(first);
  keys.get(third);
  expect(keys.get(first)).toBe(kept);
  const again = keys.get(second);
  expect(again).not.toBe(forgotten);
  expect(again.equals(forgotten)).toBe(true);
});

test('what is no Ed25519 key is refused every time, and takes no place', () => {
  const keys = createPublicKeys(1);
  const x = aKey();
  const kept = keys.get(x);
  for (let round = 0; round < 2; round += 1) expect(() => keys.get('AA')).toThrow();
  expect(keys.get(x)).toBe(kept);
});
