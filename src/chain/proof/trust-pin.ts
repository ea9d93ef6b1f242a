import { fromBase58 } from '@mysten/sui/utils';
import { z } from 'zod';
import { ConfigurationError } from '#base';

const Digest = z.string().refine((text) => isDigest(text), 'must be 32 bytes in base58');

/**
 * What is believed of a chain without a proof: the last checkpoint of an epoch, which names the committee of the next
 * one; or, for a chain that is in its first epoch, that epoch's committee by its fingerprint.
 */
export const TrustPin = z.union([
  z.strictObject({ epoch: z.int().nonnegative(), checkpoint: Digest }),
  z.strictObject({ committee: Digest }),
]);
export type TrustPin = z.infer<typeof TrustPin>;

/** `245:8RiK…` or `committee:8RiK…`, as it is shown and compared by people. */
export function formatPin(pin: TrustPin): string {
  return 'committee' in pin ? `committee:${pin.committee}` : `${pin.epoch}:${pin.checkpoint}`;
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
