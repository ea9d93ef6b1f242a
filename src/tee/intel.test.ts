import { describe, expect, test } from 'vitest';
import { devCrl, issue } from './dev-chain.ts';
import { type DevQuoteOptions, devQuote } from './dev-intel.ts';
import type { CollateralItem } from './evidence.ts';
import { policyOf } from './policy.fixture.ts';
import {
  chainRows,
  describeKind,
  devPolicy,
  flip,
  measuredRows,
  NOW,
  REPORT_DATA,
  type Rows,
  reasonsOf,
  type Trial,
} from './trial.fixture.ts';

const REGISTERS = {
  mrTd: '33'.repeat(48),
  rtmr0: '40'.repeat(48),
  rtmr1: '41'.repeat(48),
  rtmr2: '42'.repeat(48),
  rtmr3: '43'.repeat(48),
};

async function quoteTrial(
  version: 3 | 4 | 5,
  options: Partial<DevQuoteOptions> = {},
  changes: object = {},
): Promise<Trial> {
  const evidence = await devQuote({ nowMs: NOW, version, reportData: REPORT_DATA, ...options });
  const measurement = version === 3 ? { mrEnclave: '22'.repeat(32) } : REGISTERS;
  const policy = { measurements: [{ name: 'release', ...measurement }], ...changes };
  const kind = version === 3 ? 'sgx' : 'tdx';
  return { evidence, policy: devPolicy(kind, policy, evidence.root), reportData: REPORT_DATA };
}

/**
 * The rows that SGX and TDX share: one spoilt quote for each check. It is one table, longer than a screen, so
 * that the type `Rows` holds it against the checks of each kind: a check without a row does not compile.
 */
function intelRows(version: 3 | 4 | 5) {
  const make = (options: Partial<DevQuoteOptions> = {}, changes: object = {}) =>
    quoteTrial(version, options, changes);
  const kind = version === 3 ? 'sgx' : 'tdx';
  const named = (items: readonly CollateralItem[], name: string, change: (text: string) => string) =>
    items.map((item) =>
      item.name === name
        ? { ...item, content: Buffer.from(change(Buffer.from(item.content).toString())) }
        : item,
    );
  const other =
    version === 3 ? { name: 'other', mrEnclave: '11'.repeat(32) } : { name: 'other', mrTd: '11'.repeat(48) };
  const bodyAt = version === 5 ? 54 : 48;
  return {
    ...chainRows((options) =>
      make({
        fault: options.fault,
        ...(options.collateral && {
          collateral: async (items, chain) => {
            const pckCrl = {
              name: 'crl',
              content: await devCrl({ nowMs: NOW, issuer: chain.intermediate }),
            } as const;
            const changed = (await options.collateral?.(items, chain)) ?? [];
            return changed.some(({ name }) => name === 'crl') ? [...changed, pckCrl] : changed;
          },
        }),
      }),
    ),
    ...measuredRows(make, () => ({ [kind]: { measurements: [other] } })),
    'kind-not-accepted': async () => ({
      ...(await make()),
      policy: policyOf({ nitro: { measurements: 'any' } }),
    }),
    'evidence-size': () => make({ alterQuote: (quote) => Buffer.concat([quote, Buffer.alloc(32_768)]) }),
    'version-unsupported': () => make({ alter: (signed) => signed.writeUInt16LE(6, 0) }),
    'quote-malformed': () => make({ alterQuote: (quote) => quote.subarray(0, quote.length - 1) }),
    'trailing-bytes': () => make({ alterQuote: (quote) => Buffer.concat([quote, Buffer.of(0, 1)]) }),
    'signer-unsupported': () => make({ alter: (signed) => signed.writeUInt16LE(3, 2) }),
    'signature-invalid': () => make({ alterQuote: (quote) => flip(quote, bodyAt + 10) }),
    'key-unbound': () => make({ alterQe: (report) => flip(report, 320) }),
    'qe-signature-invalid': () =>
      // The report of the quoting enclave follows length, signature, key and, from version 4 on, a header of 6 bytes.
      make({
        alterQuote: (quote) =>
          flip(quote, { 3: 48 + 384 + 132, 4: 48 + 584 + 138, 5: 54 + 648 + 138 }[version]),
      }),
    'certificate-malformed': () =>
      make({
        alterQuote: (quote) => {
          const at = quote.indexOf('-----BEGIN CERTIFICATE-----\n') + 28;
          quote.write('AAAA', at);
          return quote;
        },
      }),
    // Every leaf below the root has a valid chain; only the signer's name says what it may sign.
    'certificate-mismatch': () =>
      make({
        signer: ({ root }) =>
          issue({ nowMs: NOW, name: 'dev-SGX-other-leaf', algorithm: 'P-256', isCa: false, issuer: root }),
      }),
    'collateral-missing': () =>
      make({ collateral: async (items) => items.filter(({ name }) => name !== 'tcb-info') }),
    'collateral-malformed': () =>
      make({
        collateral: async (items) => named(items, 'tcb-info', (text) => text.replace(/"signature".*/, '')),
      }),
    'collateral-signature-invalid': () =>
      make({
        collateral: async (items) =>
          named(items, 'qe-identity', (text) =>
            text
              .replaceAll('":', '": ')
              .replace(': {"id', ':{"id')
              .replace('"signature": "', '"signature":"'),
          ),
      }),
    'collateral-not-yet-valid': () =>
      make({
        alterTcbInfo: (info) => {
          info.issueDate = '2026-06-01T12:00:01Z';
        },
      }),
    'collateral-expired': () =>
      make({
        alterQeIdentity: (identity) => {
          identity.nextUpdate = '2026-06-01T11:59:59Z';
        },
      }),
    'collateral-too-old': () => make({}, { maxCollateralAge: '30m' }),
    'collateral-mismatch': () =>
      make({
        alterTcbInfo: (info) => {
          info.fmspc = '00606A000001';
        },
      }),
    'tcb-no-level': () =>
      make({
        alterTcbInfo: (info) => {
          info.tcbLevels = [];
        },
      }),
    'tcb-status': () => make({ alterTcbInfo: (info) => void info.tcbLevels.shift() }),
    'qe-mismatch': () => make({ alterQe: (report) => flip(report, 128) }),
    'coverage-too-small': () => make({}, { measurements: 'any' }),
  };
}

function tdxRows(version: 4 | 5): Rows<'tdx'> {
  const at = version === 5 ? 54 : 48;
  const body = (change: (signed: Buffer) => unknown) => () =>
    quoteTrial(version, { alter: (signed) => void change(signed) });
  return {
    ...intelRows(version),
    'module-unknown': body((signed) => flip(signed, at + 64)),
    debug: body((signed) => flip(signed, at + 120)),
    'attributes-not-accepted': body((signed) => signed.writeBigUInt64LE(0n, at + 120)),
    'migration-allowed': body((signed) => signed.writeBigUInt64LE(3n << 28n, at + 120)),
    'measurement-zero': body((signed) => signed.fill(0, at + 136, at + 184)),
  };
}

const enclave = (change: (signed: Buffer) => unknown) => () =>
  quoteTrial(3, { alter: (signed) => void change(signed) });

const sgxRows: Rows<'sgx'> = {
  ...intelRows(3),
  debug: enclave((signed) => signed.writeBigUInt64LE(7n, 48 + 48)),
  'attributes-not-accepted': enclave((signed) => signed.writeBigUInt64LE(0x15n, 48 + 48)),
  'measurement-zero': enclave((signed) => signed.fill(0, 48 + 64, 48 + 96)),
};

describeKind('evidence like that of TDX, quote version 4', 'tdx', () => quoteTrial(4), tdxRows(4));
describeKind('evidence like that of TDX, quote version 5', 'tdx', () => quoteTrial(5), tdxRows(5));
describeKind('evidence like that of SGX', 'sgx', () => quoteTrial(3), sgxRows);

describe('beside the rows of Intel', () => {
  test.each(['path too long', 'unknown critical extension'] as const)(
    'a chain with the fault "%s" is refused',
    async (fault) => {
      expect(reasonsOf(await quoteTrial(4, { fault }))).toEqual(['certificate-constraints']);
    },
  );

  test('a quoting enclave or TDX module that is out of date is refused', async () => {
    const oldEnclave = quoteTrial(4, { alterQe: (report) => report.writeUInt16LE(2, 258) });
    expect(reasonsOf(await oldEnclave)).toEqual(['tcb-status']);
    const oldModule = quoteTrial(4, {
      alterTcbInfo: (info) => {
        info.tdxModuleIdentities[0].tcbLevels[0].tcbStatus = 'OutOfDate';
      },
    });
    expect(reasonsOf(await oldModule)).toEqual(['tcb-status']);
  });

  test('a platform that Intel revoked is refused, and no policy can accept it', async () => {
    const revoked = quoteTrial(4, {
      alterTcbInfo: (info) => {
        info.tcbLevels[0].tcbStatus = 'Revoked';
      },
    });
    expect(reasonsOf(await revoked)).toEqual(['tcb-status']);
    expect(() => policyOf({ tdx: { measurements: 'any', tcbStatuses: ['Revoked'] } })).toThrow(/tcbStatuses/);
  });

  test('a module of a version that Intel does not list is refused', async () => {
    const trial = quoteTrial(5, { alter: (signed) => signed.writeUInt8(9, 54 + 1) });
    expect(reasonsOf(await trial)).toEqual(['module-unknown']);
  });

  test('a TD with a migration TD bound to it is refused', async () => {
    const trial = quoteTrial(5, { alter: (signed) => signed.writeUInt8(1, 54 + 600) });
    expect(reasonsOf(await trial)).toEqual(['migration-allowed']);
  });

  test('a revoked PCK is refused by the list of its own issuer', async () => {
    const trial = quoteTrial(4, {
      collateral: async (items, { intermediate, leaf }) => [
        ...items.slice(0, -1),
        { name: 'crl', content: await devCrl({ nowMs: NOW, issuer: intermediate, revoked: [leaf.serial] }) },
      ],
    });
    expect(reasonsOf(await trial)).toEqual(['certificate-revoked']);
  });

  test('collateral that another leaf of the root signs is refused, whatever name the leaf has', async () => {
    const impostor = await issue({ nowMs: NOW, name: 'someone', algorithm: 'P-256', isCa: true });
    expect(reasonsOf(await quoteTrial(4, { signer: async () => impostor }))).toEqual(['chain-invalid']);
  });
});
