import { z } from 'zod';

const largestU64 = 2n ** 64n - 1n;

/** MIST as a whole number; above 2^53 a JSON number has lost digits already, so such amounts are strings. */
const Mist = z
  .union([
    z.bigint(),
    z.int('expected a whole number of MIST; above 9007199254740991 write it as a string'),
    z.string().regex(/^\d+$/, 'expected a whole number of MIST'),
  ])
  .transform((amount) => BigInt(amount))
  .refine((amount) => amount >= 0n && amount <= largestU64, 'expected an amount between 0 and 2^64 - 1 MIST');

export const StakingConfig = z
  .strictObject({
    /** What is staked when nothing stands for this node yet. Without it nothing is ever staked. */
    stakeMist: Mist.optional(),
    /** A stake below this is refused, whatever the cluster's own minimum. */
    minimumMist: Mist.optional(),
    /** The fingerprint of the terms that the operator accepts, or `any`. Without it nothing is ever staked. */
    acceptTerms: z
      .string()
      .regex(
        /^(?:any|[0-9a-f]{32})$/,
        'expected the 32 hex digits that `k3s-daas cluster show` prints, or any',
      )
      .optional(),
    /** Makes another record although an earlier one of this node and wallet has ended. */
    stakeAgain: z.boolean().default(false),
    rotation: z
      .strictObject({
        /** `automatic`: the host rotates the Seal token before it ends and pays the gas. `ask`: it says that it ends. */
        mode: z.enum(['automatic', 'ask']).default('automatic'),
        /** How often it looks at the token. */
        checkMs: z.int().min(100).max(86_400_000).default(600_000),
        /** A wallet that holds less is said to be low on gas. */
        gasReserveMist: Mist.default(100_000_000n),
      })
      .prefault({}),
    /** What directives of a gateway may spend within 30 days. By default nothing: the operator is asked. */
    directives: z
      .strictObject({
        rotations: z.int().min(0).max(1_000).default(0),
        topUpMist: Mist.default(0n),
      })
      .prefault({}),
  })
  .refine(
    ({ stakeMist, minimumMist }) =>
      stakeMist === undefined || minimumMist === undefined || stakeMist >= minimumMist,
    { path: ['stakeMist'], message: 'is below minimumMist' },
  );
export type StakingConfig = z.infer<typeof StakingConfig>;
