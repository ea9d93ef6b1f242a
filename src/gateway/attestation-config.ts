import { z } from 'zod';

const file = z.string().min(1);

/** `gateway.admit.attestation`: what a machine has to prove to be admitted. */
export const AdmitAttestationConfig = z.strictObject({
  mode: z.enum(['off', 'record', 'require']).default('off').meta({
    description:
      'off: workers are asked for no evidence; record: what they show is judged and shown, and decides nothing; require: a worker is admitted only with evidence that policyFile accepts',
  }),
  policyFile: file.optional().meta({
    description: 'what evidence a worker has to show; others must not be able to write it',
  }),
  collateralFile: file.optional().meta({
    description:
      'what the vendors have published, from `k3s-daas tee collateral fetch`, beside what workers bring along',
  }),
});
