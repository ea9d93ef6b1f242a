import type * as zod from 'zod';

/** By name, and never zod as a whole: a build could leave none of it out then, down to its sentences in fifty languages. */
type Makers = Pick<typeof zod, 'array' | 'enum' | 'int' | 'strictObject' | 'string'>;

/**
 * How a machine proves what it runs: `gateway.attestation`, and `attestation.evidence` of a worker (docs/attestation.md). The
 * caller brings what it takes of zod, since every command loads this layer, and most never read settings.
 */
export const evidenceSettings = (z: Makers) =>
  z.strictObject({
    provider: z.enum(['none', 'tsm', 'nitrotpm', 'nitro', 'tpm', 'program', 'dev']).default('none').meta({
      description:
        'what makes evidence of the machine: none; tsm (SEV-SNP, TDX), nitrotpm, nitro, tpm, program; dev is a stand-in that proves nothing',
    }),
    kind: z.string().min(1).optional().meta({
      description:
        'for program: the kind of what it makes, where that does not show; for dev: sev-snp or tdx',
    }),
    program: z.string().startsWith('/', 'expected an absolute path').optional().meta({
      description: 'for nitro and program: what makes the evidence; others must not be able to write it',
    }),
    format: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'expected a name of a-z, 0-9 and hyphen')
      .optional()
      .meta({ description: 'for program with the kind command: the name of the format' }),
    attestationKey: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'for tpm: the persistent handle of the key, such as 0x81010002' }),
    pcrs: z
      .array(z.int().min(0).max(23))
      .min(1)
      .optional()
      .meta({ description: 'for tpm: the registers that are quoted; unset: 0, 2, 4, 7, 8, 9, 11' }),
    collateralFile: z.string().min(1).optional().meta({
      description:
        'what the vendor has published, from `k3s-daas tee collateral fetch`: sent along with the evidence, so that who judges it does not ask the vendor',
    }),
  });
export type EvidenceSettings = zod.infer<ReturnType<typeof evidenceSettings>>;
