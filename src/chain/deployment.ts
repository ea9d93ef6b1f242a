import { isValidSuiAddress, normalizeSuiAddress } from '@mysten/sui/utils';
import { z } from 'zod';
import { ConfigurationError } from '#base';
import { readTrustedText, replaceFile } from '#infrastructure';
import { EpochPin, TrustPin } from './proof/trust-pin.ts';

const ObjectId = z
  .string()
  .refine((id) => isValidSuiAddress(normalizeSuiAddress(id)), 'must be 0x and up to 64 hexadecimal digits')
  .transform((id) => normalizeSuiAddress(id));
const ChainId = z
  .string()
  .regex(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/, 'must be the base58 digest of the genesis checkpoint');

/**
 * What a cluster is known by: the chain (base58 digest of its genesis checkpoint), the package and the cluster object.
 * `k3s-daas cluster create` writes it, `chain.deployment` in the configuration names the file.
 */
export const Deployment = z.strictObject({
  chainId: ChainId,
  packageId: ObjectId,
  clusterId: ObjectId,
  /** What proofs about this cluster follow from (`k3s-daas proof pin`). */
  trust: TrustPin.optional(),
  /** A newer checkpoint on the same way: with it, what follows from an old pin is believed (`proof pin --recent`). */
  recentTrust: EpochPin.optional(),
});
export type Deployment = z.infer<typeof Deployment>;

/** What `contracts publish` knows: there is no cluster yet. */
export const Publication = Deployment.partial({ clusterId: true });
export type Publication = z.infer<typeof Publication>;

/** Throws `DAAS_DEPLOYMENT_INVALID` (exit 78), naming the member and `origin`. */
export function parseDeployment(value: unknown, origin: string): Deployment {
  return parseAs(Deployment, value, origin);
}

function parsePublication(value: unknown, origin: string): Publication {
  return parseAs(Publication, value, origin);
}

function parseAs<T>(schema: z.ZodType<T>, value: unknown, origin: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue?.path[0] === 'clusterId' && Publication.safeParse(value).success)
    throw new ConfigurationError(
      'DAAS_DEPLOYMENT_INVALID',
      `${origin} names no cluster yet: \`k3s-daas cluster create\` makes one and writes its id there`,
      { details: { origin } },
    );
  throw new ConfigurationError(
    'DAAS_DEPLOYMENT_INVALID',
    `${origin} is not a deployment file: ${issue?.path.join('.') || 'the document'}: ${issue?.message ?? 'not valid'}. \`k3s-daas cluster create\` writes it`,
    { details: { origin } },
  );
}

export async function readDeployment(file: string): Promise<Deployment> {
  return parseDeployment(await readJson(file, 'k3s-daas cluster create'), file);
}

export async function readPublication(file: string): Promise<Publication> {
  return parsePublication(await readJson(file, 'k3s-daas contracts publish'), file);
}

export async function writeDeployment(file: string, deployment: Publication): Promise<void> {
  await replaceFile(file, `${JSON.stringify(deployment, null, 2)}\n`, 0o644);
}

async function readJson(file: string, writer: string): Promise<unknown> {
  let text: string;
  try {
    text = await readTrustedText(file, { what: 'the deployment file' });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_DEPLOYMENT_UNREADABLE',
      `the deployment file ${file} cannot be read: \`${writer}\` writes one`,
      { cause },
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigurationError('DAAS_DEPLOYMENT_INVALID', `the deployment file ${file} is not JSON`, {
      cause,
    });
  }
}
