const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/**
 * A Sui id (`0x` and 64 hex digits) in base58, Bitcoin's alphabet: 44 characters at most, so that it fits a label value
 * (63), which the hex form does not.
 */
export function base58OfId(id: string): string {
  if (!/^0x[0-9a-f]{64}$/.test(id))
    throw new RangeError(`'${id}' is not an id: it must be 0x and 64 hex digits`);
  let rest = BigInt(id);
  let text = '';
  while (rest > 0n) {
    text = alphabet[Number(rest % 58n)] + text;
    rest /= 58n;
  }
  const zeros = (/^(?:00)*/.exec(id.slice(2))?.[0].length ?? 0) / 2;
  return '1'.repeat(zeros) + text;
}

/** The id that a label holds, or undefined for a text that `base58OfId` never writes. */
export function idOfBase58(text: string): string | undefined {
  if (text.length === 0 || text.length > 44) return undefined;
  let value = 0n;
  for (const character of text) {
    const digit = alphabet.indexOf(character);
    if (digit < 0) return undefined;
    value = value * 58n + BigInt(digit);
  }
  if (value >= 1n << 256n) return undefined;
  const id = `0x${value.toString(16).padStart(64, '0')}`;
  // One id has one spelling: other texts with more leading ones are refused.
  return base58OfId(id) === text ? id : undefined;
}
