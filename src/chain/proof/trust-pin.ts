import { fromBase58 } from '@mysten/sui/utils';
import { z } from 'zod';
import { ConfigurationError } from '#base';

const Digest = z.string().refine((text) => isDigest(text), 'must be 32 bytes in base58');

/**
 * What is believed of a chain without a proof: the last checkpoint of an epoch, which names the committee of the next
 * one; or, for a chain that is in its first epoch, that epoch's committee by its fingerprint.
 */
export const EpochPin = z.strictObject({ epoch: z.int().nonnegative(), checkpoint: Digest });
export type EpochPin = z.infer<typeof EpochPin>;
export const TrustPin = z.union([EpochPin, z.strictObject({ committee: Digest })]);
export type TrustPin = z.infer<typeof TrustPin>;

/** What is believed of a chain: a pin as old as the cluster, and a recent one that the way from it has to lead through. */
export const TrustAnchors = z.strictObject({ trust: TrustPin, recentTrust: EpochPin.optional() });
export type TrustAnchors = z.infer<typeof TrustAnchors>;

/** `245:8RiK…` or `committee:8RiK…`, as it is shown and compared by people. */
export function formatPin(pin: TrustPin): string {
  return 'committee' in pin ? `committee:${pin.committee}` : `${pin.epoch}:${pin.checkpoint}`;
}

/** The digest's first 16 bytes in hexadecimal groups of four: what two people read to each other to compare a pin. */
export function fingerprintOf(pin: TrustPin): string {
  const bytes = fromBase58('committee' in pin ? pin.committee : pin.checkpoint).subarray(0, 16);
  const epoch = 'committee' in pin ? 0 : pin.epoch;
  return `${epoch} ${Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{4})(?=.)/g, '$1-')}`;
}

/** Reads {@link formatPin}'s text. Throws `DAAS_TRUST_PIN_INVALID` (exit 78), naming `origin`. */
export function parsePin(text: string, origin: string): TrustPin {
  const [, kind, digest] = /^(committee|\d{1,15}):(\w+)$/.exec(text) ?? [];
  const pin = TrustPin.safeParse(
    kind === 'committee' ? { committee: digest } : { epoch: Number(kind), checkpoint: digest },
  );
  if (pin.success) return pin.data;
  throw new ConfigurationError(
    'DAAS_TRUST_PIN_INVALID',
    `not a trust pin: '${text}' (${origin}). Give EPOCH:DIGEST or committee:DIGEST, as \`k3s-daas proof pin\` prints it`,
    { details: { origin, value: text } },
  );
}

export function isSamePin(left: TrustPin, right: TrustPin): boolean {
  return formatPin(left) === formatPin(right);
}

function isDigest(text: string): boolean {
  try {
    return fromBase58(text).length === 32;
  } catch {
    return false;
  }
}
