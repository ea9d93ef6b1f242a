import { describe, expect, test } from 'vitest';
import { readCertificate } from './certificate.ts';
import { CHECK_TABLES, type ChecksOf } from './checks.ts';
import type { CommandOutcome } from './command.ts';
import { type ChainFault, DEV_VALIDITY_MS, type DevChain, devCrl } from './dev-chain.ts';
import type { CollateralItem, Evidence, EvidenceKind } from './evidence.ts';
import { policyOf } from './policy.fixture.ts';
import type { Policy } from './policy.ts';
import { verify } from './verify.ts';

/** Evidence of the development PKI that is accepted, and for every row of the tables one change that makes it refused. */
export const NOW = Date.parse('2026-06-01T12:00:00Z');
export const REPORT_DATA = Buffer.alloc(64, 0xab);

export interface Trial {
  readonly evidence: Evidence;
  readonly policy: Policy;
  readonly nowMs?: number;
  readonly reportData?: Buffer | undefined;
  readonly outcome?: CommandOutcome | undefined;
}
export type Rows<Kind extends EvidenceKind> = Readonly<Record<ChecksOf<Kind>, () => Promise<Trial>>>;

const fingerprint = (der: Buffer): string => readCertificate(der).fingerprint;
export const hex = (bytes: Buffer): string => bytes.toString('hex');
export const flip = (bytes: Buffer, at: number): Buffer => {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
};

/** A policy for one kind that demands an application, and trusts the root of this evidence. */
export function devPolicy(
  kind: EvidenceKind,
  policy: Readonly<Record<string, unknown>>,
  root?: Buffer,
  minimumCoverage = 'application',
): Policy {
  return policyOf(
    { [kind]: policy },
    { mode: 'dev', minimumCoverage, devRoots: root ? [fingerprint(root)] : [] },
  );
}

/** The rows that every kind with a chain of certificates has. */
export function chainRows(
  make: (options: {
    fault?: ChainFault;
    collateral?: (items: readonly CollateralItem[], chain: DevChain) => Promise<readonly CollateralItem[]>;
  }) => Promise<Trial>,
) {
  const withCrl = (crl: (chain: DevChain) => Promise<Buffer>) =>
    make({
      collateral: async (items, chain) => [
        ...items.filter(({ name }) => name !== 'crl'),
        { name: 'crl', content: await crl(chain) },
      ],
    });
  return {
    'root-foreign': async () => {
      const { policy, ...trial } = await make({});
      const { format, minimumCoverage, accept } = policy;
      // The same demands, of a policy that has no field for a root of our own.
      return { ...trial, policy: { format, mode: 'production' as const, minimumCoverage, accept } };
    },
    'chain-invalid': () => make({ fault: 'leaf signed by a stranger' }),
    'certificate-constraints': () => make({ fault: 'intermediate is no CA' }),
    'certificate-not-yet-valid': async () => ({ ...(await make({})), nowMs: NOW - DEV_VALIDITY_MS - 1_000 }),
    'certificate-expired': async () => ({ ...(await make({})), nowMs: NOW + DEV_VALIDITY_MS + 1_000 }),
    'crl-missing': () => make({ collateral: async (items) => items.filter(({ name }) => name !== 'crl') }),
    'crl-invalid': () =>
      withCrl(async ({ root }) => {
        const crl = await devCrl({ nowMs: NOW, issuer: root });
        return flip(crl, crl.length - 1);
      }),
    'crl-expired': () =>
      withCrl(({ root }) => devCrl({ nowMs: NOW, issuer: root, nextUpdateMs: NOW - 1_000 })),
    'certificate-revoked': () =>
      withCrl(({ root, intermediate }) =>
        devCrl({ nowMs: NOW, issuer: root, revoked: [intermediate.serial] }),
      ),
  } as const;
}

/** The rows that every kind has beside those of its platform. */
export const measuredRows = (
  trial: () => Promise<Trial>,
  other: (accept: Policy['accept']) => Readonly<Record<string, unknown>>,
) => ({
  'measurement-unknown': async () => {
    const { policy, ...rest } = await trial();
    return { ...rest, policy: policyOf(other(policy.accept), restOf(policy)) };
  },
  'report-data-mismatch': async () => ({ ...(await trial()), reportData: Buffer.alloc(64, 1) }),
});

const restOf = (policy: Policy) => ({
  mode: policy.mode,
  minimumCoverage: policy.minimumCoverage,
  ...(policy.mode === 'dev' && { devRoots: policy.devRoots }),
});

export function describeKind(
  title: string,
  kind: EvidenceKind,
  accepted: () => Promise<Trial>,
  rows: Readonly<Record<string, () => Promise<Trial>>>,
): void {
  describe(title, () => {
    test('as it is made, it is accepted', async () => {
      const verdict = verdictOf(await accepted());
      expect(verdict.reasons).toEqual([]);
      expect(verdict).toMatchObject({ accepted: true, measurement: 'release', isBound: true });
    });

    for (const { check, demand } of CHECK_TABLES[kind]) {
      test(`${check}: it is refused unless ${demand}`, async () => {
        const row = rows[check];
        if (!row) throw new Error(`the row '${check}' has no case`);
        const trial = await row();
        const verdict = verdictOf(trial);
        expect(verdict.accepted).toBe(false);
        expect(verdict.reasons.map((reason) => reason.check)).toContain(check);
      });
    }
  });
}

export function verdictOf({ evidence, policy, nowMs = NOW, reportData, outcome }: Trial) {
  return verify(evidence, policy, { nowMs, reportData, outcome });
}

export function reasonsOf(trial: Trial): readonly string[] {
  return verdictOf(trial).reasons.map(({ check }) => check);
}
