import { z } from 'zod';
import { ConfigurationError } from '#base';
import { COVERAGES } from './verdict.ts';

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `90s`, `15m`, `1h`, `7d`, as milliseconds. */
const Duration = z
  .string()
  .regex(/^\d{1,6}[smhd]$/, 'expected a whole number with a unit: 90s, 15m, 1h, 7d')
  .transform((text) => Number(text.slice(0, -1)) * UNITS[text.slice(-1) as keyof typeof UNITS]);

const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`), `expected ${bytes} bytes in hexadecimal`)
    .transform((text) => text.toLowerCase());
const name = z.string().min(1).max(100);
const Byte = z.int().min(0).max(255);

const pcrs = (...lengths: readonly number[]) =>
  z
    .record(
      z.string().regex(/^(?:\d|[12]\d|3[01])$/, 'expected the number of a PCR, 0 to 31'),
      z
        .string()
        .regex(/^(?:[0-9a-fA-F]{2})+$/, 'expected hexadecimal')
        .refine((text) => lengths.includes(text.length / 2), `expected ${lengths.join(' or ')} bytes`)
        .transform((text) => text.toLowerCase()),
    )
    .refine((registers) => Object.keys(registers).length > 0, 'expected at least one PCR');

/** The measurements that count; `any` has to be written out, since it accepts every machine of the platform. */
const measurements = <Schema extends z.ZodType>(one: Schema) =>
  z.union([z.literal('any'), z.array(one).min(1)], 'expected a list of measurements, or "any"');

const PcrMeasurement = z.strictObject({ name, pcrs: pcrs(48) });
export type PcrMeasurement = z.infer<typeof PcrMeasurement>;

const nitro = z.strictObject({
  measurements: measurements(PcrMeasurement),
  /** AWS issues leaves for three hours and tells verifiers to leave CRLs out: lists are used where they are there. */
  revocation: z.enum(['required', 'when-present']).default('when-present'),
  maxAge: Duration.default(UNITS.h),
});
export type NitroPolicy = z.infer<typeof nitro>;

export const PRODUCTS = ['Milan', 'Genoa', 'Turin'] as const;
export type Product = (typeof PRODUCTS)[number];

const SnpTcb = z.strictObject({
  /** Turin only. */
  fmc: Byte.default(0),
  bootloader: Byte,
  tee: Byte,
  snp: Byte,
  microcode: Byte,
});
const SnpMeasurement = z.strictObject({
  name,
  measurement: hex(48),
  /** With the firmware of a cloud the measurement is the same for every guest there: say more only when it is yours. */
  covers: z.enum(COVERAGES).default('firmware only'),
  hostData: hex(32).optional(),
  idKeyDigest: hex(48).optional(),
});
const snp = z.strictObject({
  measurements: measurements(SnpMeasurement),
  /** The product lines that count, each with the oldest firmware that does. AMD publishes no list to compare with. */
  minimumTcb: z
    .partialRecord(z.enum(PRODUCTS), SnpTcb)
    .refine((products) => Object.keys(products).length > 0, 'expected at least one product line'),
  /**
   * The cloud providers whose loaded key (VLEK) counts beside the chip's own, as their certificate has them
   * (`CN=cc-us-east-2.amazonaws.com`); `any` has to be written out. Unset: no VLEK counts.
   */
  vlekProviders: z
    .union(
      [z.literal('any'), z.array(z.string().min(1).max(200)).min(1)],
      'expected a list of names, or "any"',
    )
    .optional(),
  maxVmpl: z.int().min(0).max(3).default(0),
  revocation: z.enum(['required', 'when-present']).default('required'),
  /** Of AMD's CRL, which its root issues once a year. */
  maxCollateralAge: Duration.default(400 * UNITS.d),
});
export type SnpPolicy = z.infer<typeof snp>;

export const TCB_STATUSES = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const;
/** What is out of date or revoked is not accepted by any policy. */
const AcceptableStatus = z.enum(TCB_STATUSES.slice(0, 4) as [string, ...string[]]);

const intel = {
  tcbStatuses: z.array(AcceptableStatus).min(1).default(['UpToDate']),
  /** Of TCB info, quoting-enclave identity and the CRLs of PCK issuers, which Intel issues for 30 days. */
  maxCollateralAge: Duration.default(30 * UNITS.d),
  /** Of the CRL of Intel's root, issued for about a year. */
  maxRootCrlAge: Duration.default(400 * UNITS.d),
};
const TdxMeasurement = z.strictObject({
  name,
  mrTd: hex(48),
  rtmr0: hex(48).optional(),
  rtmr1: hex(48).optional(),
  rtmr2: hex(48).optional(),
  rtmr3: hex(48).optional(),
});
const tdx = z.strictObject({ measurements: measurements(TdxMeasurement), ...intel });
export type TdxPolicy = z.infer<typeof tdx>;
export type TdxMeasurement = z.infer<typeof TdxMeasurement>;

const SgxMeasurement = z.union(
  [
    z.strictObject({ name, mrEnclave: hex(32) }),
    z.strictObject({
      name,
      mrSigner: hex(32),
      isvProdId: z.int().min(0).max(65_535),
      minimumIsvSvn: z.int().min(0).max(65_535),
    }),
  ],
  'expected {name, mrEnclave} or {name, mrSigner, isvProdId, minimumIsvSvn}',
);
const sgx = z.strictObject({ measurements: measurements(SgxMeasurement), ...intel });
export type SgxPolicy = z.infer<typeof sgx>;

const tpm = z.strictObject({
  /**
   * Names of attestation keys as `tpm2_readpublic` prints them; a TPM has no root that all vendors share. `first-seen`: for
   * workers alone, the key that a stake record has shown first.
   */
  attestationKeys: z.union(
    [z.literal('first-seen'), z.array(hex(34)).min(1)],
    'expected a list of names of keys (34 bytes in hexadecimal each), or "first-seen"',
  ),
  measurements: measurements(z.strictObject({ name, pcrs: pcrs(32) })),
});
export type TpmPolicy = z.infer<typeof tpm>;

const command = z.strictObject({
  /** Format of the evidence to the program that checks it. */
  programs: z.record(
    z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'expected a name of a-z, 0-9 and hyphen'),
    z.strictObject({
      program: z.string().startsWith('/', 'expected an absolute path'),
      arguments: z.array(z.string()).default([]),
      timeout: Duration.default(10 * UNITS.s),
    }),
  ),
  measurements: measurements(
    z.strictObject({ name, measurement: z.string().min(1).max(200), covers: z.enum(COVERAGES) }),
  ),
});
export type CommandPolicy = z.infer<typeof command>;

const accept = z
  .strictObject({
    nitro: nitro.optional(),
    nitrotpm: nitro.optional(),
    'sev-snp': snp.optional(),
    tdx: tdx.optional(),
    sgx: sgx.optional(),
    tpm: tpm.optional(),
    command: command.optional(),
  })
  .refine((kinds) => Object.keys(kinds).length > 0, 'expected at least one kind of evidence');

const Policy = z.discriminatedUnion('mode', [
  z.strictObject({
    format: z.literal('k3s-daas-tee-policy/1'),
    mode: z.literal('production'),
    minimumCoverage: z.enum(COVERAGES).default('application'),
    accept,
  }),
  z.strictObject({
    format: z.literal('k3s-daas-tee-policy/1'),
    /** For development: trusts the roots named here, too. A production policy has no field for that. */
    mode: z.literal('dev'),
    minimumCoverage: z.enum(COVERAGES).default('application'),
    devRoots: z.array(hex(32)).default([]),
    accept,
  }),
]);
/** What evidence must show to be accepted. */
export type Policy = z.infer<typeof Policy>;

/** Roots of the vendors (SHA-256 of the DER certificate): they count in every policy. */
export const VENDOR_ROOTS = {
  'AWS Nitro Enclaves': '641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b',
  'AMD ARK-Milan': '69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd',
  'AMD ARK-Genoa': '4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1',
  'AMD ARK-Turin': '1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a',
  'Intel SGX Root CA': '44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3',
} as const;

/**
 * A policy from the text of its file.
 * @param origin the file, for messages
 * @throws ConfigurationError `DAAS_TEE_POLICY_INVALID`, with every problem at once
 */
export function parsePolicy(text: string, origin: string): Policy {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_TEE_POLICY_INVALID',
      `the attestation policy is not JSON (${origin}). \`k3s-daas tee policy EVIDENCE\` writes one to begin with`,
      { cause, details: { file: origin } },
    );
  }
  const parsed = Policy.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) => `${path.map(String).join('.') || 'the policy'}: ${message}`,
  );
  throw new ConfigurationError(
    'DAAS_TEE_POLICY_INVALID',
    `the attestation policy is wrong (${origin}): ${problems.join('; ')}`,
    { details: { file: origin, problems } },
  );
}
