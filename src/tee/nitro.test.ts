import { describe, expect, test } from 'vitest';
import { encodeCbor } from './cbor.ts';
import { devCrl } from './dev-chain.ts';
import { DEV_PCR, type DevNitroOptions, devNitro } from './dev-nitro.ts';
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
  reasonsOf,
  type Trial,
} from './trial.fixture.ts';

async function nitroTrial(
  kind: 'nitro' | 'nitrotpm',
  options: Partial<DevNitroOptions> = {},
  pcrs: object = { 0: hex(DEV_PCR), 4: hex(DEV_PCR) },
): Promise<Trial> {
  const evidence = await devNitro({
    nowMs: NOW,
    kind,
    userData: REPORT_DATA,
    collateral: async ({ root, intermediate }) => [
      { name: 'crl', content: await devCrl({ nowMs: NOW, issuer: root }) },
      { name: 'crl', content: await devCrl({ nowMs: NOW, issuer: intermediate }) },
    ],
    ...options,
  });
  const policy = { measurements: [{ name: 'release', pcrs }], revocation: 'required' };
  const coverage = kind === 'nitro' ? 'application' : 'firmware, kernel, initrd';
  return { evidence, policy: devPolicy(kind, policy, evidence.root, coverage), reportData: REPORT_DATA };
}

function nitroRows<Kind extends 'nitro' | 'nitrotpm'>(kind: Kind) {
  const make = (options: Partial<DevNitroOptions> = {}) => nitroTrial(kind, options);
  const pcrField = kind === 'nitro' ? 'pcrs' : 'nitrotpm_pcrs';
  const zeros = (...indexes: readonly number[]) =>
    make({
      pcrs: Object.fromEntries(
        Array.from({ length: 16 }, (_, index) => [
          index,
          indexes.includes(index) ? Buffer.alloc(48) : DEV_PCR,
        ]),
      ),
    });
  return {
    ...chainRows(({ fault, collateral }) =>
      make({
        fault,
        ...(collateral && {
          collateral: async (chain) =>
            collateral(
              [{ name: 'crl', content: await devCrl({ nowMs: NOW, issuer: chain.intermediate }) }],
              chain,
            ),
        }),
      }),
    ),
    ...measuredRows(make, () => ({
      [kind]: { measurements: [{ name: 'other', pcrs: { 0: '11'.repeat(48) } }], revocation: 'required' },
    })),
    'kind-not-accepted': async () => ({
      ...(await make()),
      policy: policyOf({ tpm: { attestationKeys: ['00'.repeat(34)], measurements: 'any' } }),
    }),
    'evidence-size': () => make({ alter: (fields) => fields.set('nonce', Buffer.alloc(40_000)) }),
    'cbor-malformed': () =>
      // The text of four letters, with its length in two bytes where one is enough.
      make({
        alterPayload: (payload) =>
          Buffer.concat([payload.subarray(0, 1), Buffer.of(0x78, 0x09), payload.subarray(2)]),
      }),
    'cbor-duplicate-key': () =>
      make({
        alterPayload: (payload) =>
          Buffer.concat([
            Buffer.of((payload[0] ?? 0) + 1),
            encodeCbor('nonce'),
            encodeCbor(null),
            payload.subarray(1),
          ]),
      }),
    'trailing-bytes': () => make({ alterPayload: (payload) => Buffer.concat([payload, Buffer.of(0)]) }),
    'cose-malformed': () => make({ alterParts: (parts) => parts.splice(1, 1, new Map([[4, Buffer.of(1)]])) }),
    'field-invalid': () => make({ alter: (fields) => fields.set('digest', 'SHA256') }),
    'certificate-malformed': () =>
      make({
        alter: (fields) =>
          fields.set('certificate', Buffer.concat([fields.get('certificate') as Buffer, Buffer.of(0)])),
      }),
    'signature-invalid': () =>
      make({ alterParts: (parts) => parts.splice(3, 1, flip(Buffer.from(parts[3] as Buffer), 95)) }),
    'evidence-from-the-future': () => make({ timestampMs: NOW + 301_000 }),
    'evidence-too-old': () => make({ timestampMs: NOW - 3_601_000 }),
    'measurement-zero': () => (kind === 'nitro' ? zeros(1) : zeros(7)),
    'coverage-too-small': () => nitroTrial(kind, {}, { 8: hex(DEV_PCR) }),
    'report-data-missing': () => make({ userData: null }),
    debug: () => zeros(0, 1, 2),
    pcrs: () => make({ alter: (fields) => fields.set(pcrField, new Map()) }),
  };
}

describeKind('evidence like that of Nitro enclaves', 'nitro', () => nitroTrial('nitro'), nitroRows('nitro'));
describeKind(
  'evidence like that of NitroTPM',
  'nitrotpm',
  () => nitroTrial('nitrotpm'),
  nitroRows('nitrotpm'),
);

describe('beside the rows of Nitro', () => {
  test.each(['path too long', 'unknown critical extension'] as const)(
    'a chain with the fault "%s" is refused',
    async (fault) => {
      expect(reasonsOf(await nitroTrial('nitro', { fault }))).toEqual(['certificate-constraints']);
    },
  );
});
