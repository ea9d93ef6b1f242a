import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatDuration, parseCount, parseDuration, parseHex } from './chain-options.ts';
import { readHolderKey } from './holder-key.ts';

test.each([
  ['500ms', 500n],
  ['90s', 90_000n],
  ['15m', 900_000n],
  ['1h', 3_600_000n],
  ['7d', 604_800_000n],
])('%s is %s ms, and is written so again', (text, ms) => {
  expect(parseDuration(text, '--unbonding')).toBe(ms);
  expect(parseDuration(formatDuration(ms), 'again')).toBe(ms);
});

test.each(['7', '1.5h', '-1s', '1w', ''])('%j is no duration, and the flag is named', (text) => {
  expect(() => parseDuration(text, '--unbonding')).toThrow('--unbonding');
});

test('hex and counts are read strictly', () => {
  expect([...parseHex('0xABcd', 'x')]).toEqual([0xab, 0xcd]);
  expect(() => parseHex('abc', '--tls-pin')).toThrow('--tls-pin');
  expect(parseCount('12', 'x')).toBe(12n);
  expect(() => parseCount('1e3', '--threshold')).toThrow('--threshold');
});

describe('a node key file', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holder-'));
  });
  afterAll(() => rm(directory, { recursive: true }));
  const pem = (key: KeyObject, type: 'spki' | 'pkcs8') => key.export({ type, format: 'pem' }).toString();

  test.each([
    ['public PEM', pem(publicKey, 'spki')],
    ['private PEM', pem(privateKey, 'pkcs8')],
    ['JWK', JSON.stringify(publicKey.export({ format: 'jwk' }))],
    ['hex', `${raw.toString('hex')}\n`],
    ['base64', raw.toString('base64')],
  ])('as %s', async (form, text) => {
    const file = join(directory, form.replace(' ', '-'));
    await writeFile(file, text);
    expect(Buffer.from(await readHolderKey(file))).toEqual(raw);
  });

  test.each([
    ['another curve', pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey, 'spki')],
    ['31 bytes', raw.subarray(1).toString('hex')],
    ['text', 'a key'],
  ])('with %s is refused by its name', async (_what, text) => {
    const file = join(directory, 'bad');
    await writeFile(file, text);
    await expect(readHolderKey(file)).rejects.toMatchObject({
      code: 'DAAS_HOLDER_KEY_INVALID',
      exitCode: 78,
    });
  });
});
