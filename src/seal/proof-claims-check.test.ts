import { expect, test } from 'vitest';
import { ProofClaims } from './claims.ts';
import { areProofClaims } from './proof-claims-check.ts';

const required = {
  iss: 'worker-1',
  aud: 'gateway-1',
  iat: 1_800_000_000.123,
  exp: 1_800_000_060.123,
  htm: 'POST',
  htu: '/api/v1/nodes/heartbeat',
  bd: 'A'.repeat(43),
};
const optional = { nonce: 'n0nce', inc: 3, seq: 9, mid: 'machine', bid: 'boot', run: 'run' };
const full = { ...required, ...optional };

/** Values at and beyond every limit of every claim, and of every other type. */
const values: readonly unknown[] = [
  null,
  true,
  [],
  {},
  ['worker-1'],
  { length: 3 },
  '',
  '0',
  'worker-1',
  'Worker-1',
  'worker.1',
  '-worker',
  'worker-1\n',
  ...[15, 16, 17, 42, 43, 44, 63, 64, 65, 128, 129, 256, 257].map((length) => 'a'.repeat(length)),
  `${'A'.repeat(42)}=`,
  `${'A'.repeat(42)}-`,
  `${'A'.repeat(43)}\n`,
  'é'.repeat(64),
  '\u{1F600}'.repeat(32),
  0,
  -0,
  -1,
  1,
  1.5,
  0.001,
  1e-9,
  8_640_000_000,
  8_640_000_000.001,
  1e21,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER + 1,
  Number.MIN_VALUE,
];

/** As they arrive: by way of JSON. */
const arrived = (claims: object): unknown => JSON.parse(JSON.stringify(claims));

test('the quick check accepts what the schema accepts, claim by claim at every limit, and nothing else', () => {
  let accepted = 0;
  for (const base of [required, full])
    for (const name of Object.keys(full))
      for (const value of values) {
        const claims = arrived({ ...base, [name]: value });
        expect([name, value, areProofClaims(claims)]).toEqual([
          name,
          value,
          ProofClaims.safeParse(claims).success,
        ]);
        accepted += Number(areProofClaims(claims));
      }
  expect(accepted).toBeGreaterThan(100);
});

test('a claim that is missing, or one more, is left to the schema, which refuses it', () => {
  expect(areProofClaims(full)).toBe(true);
  for (const name of Object.keys(required)) {
    const { [name as keyof typeof required]: _left, ...rest } = full;
    expect(areProofClaims(rest)).toBe(false);
    expect(ProofClaims.safeParse(rest).success).toBe(false);
  }
  for (const json of [
    `{"__proto__":${JSON.stringify(full)}}`,
    `${JSON.stringify(full).slice(0, -1)},"__proto__":{"seq":1}}`,
    `${JSON.stringify(full).slice(0, -1)},"constructor":1}`,
    `${JSON.stringify(full).slice(0, -1)},"crit":[]}`,
    'null',
    '[]',
    '"text"',
    '7',
  ]) {
    expect([json, areProofClaims(JSON.parse(json))]).toEqual([json, false]);
    expect([json, ProofClaims.safeParse(JSON.parse(json)).success]).toEqual([json, false]);
  }
});
