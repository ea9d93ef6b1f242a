import { ConfigurationError } from '#base';

/** An address or object id with all its digits. Throws `DAAS_ADDRESS_INVALID` (exit 78). */
export function addressOf(text: string, origin: string): string {
  const digits = /^0x([0-9a-fA-F]{1,64})$/.exec(text.trim())?.[1];
  if (digits) return `0x${digits.toLowerCase().padStart(64, '0')}`;
  throw new ConfigurationError(
    'DAAS_ADDRESS_INVALID',
    `${origin}: '${text}' is not a Sui address or object id: 0x and up to 64 hexadecimal digits`,
    { details: { origin, value: text } },
  );
}

/** An id as the value of a flag, for commander. */
export const idOf = (flag: string) => (text: string) => addressOf(text, flag);
