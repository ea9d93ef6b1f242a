import { z } from 'zod';

/** Fields as JSON has them: numbers as digits. */

export const U64 = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((digits) => BigInt(digits));
/** Of an object, a package or an account. */
export const Id = z.string().regex(/^0x[0-9a-f]{64}$/);
