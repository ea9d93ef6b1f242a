import { ConfigurationError } from '#base';

export { formatSui } from '#domain';

const MAX_U64 = 2n ** 64n - 1n;

/**
 * MIST of `1.5`, `1.5SUI` or `1500mist`: SUI unless the unit is given. Throws `DAAS_AMOUNT_INVALID` (exit 78), also for
 * more than a u64 holds or a fraction of a MIST.
 */
export function parseSui(text: string, origin: string): bigint {
  const match = /^(\d+)(?:\.(\d+))?\s*(sui|mist)?$/i.exec(text.trim());
  const isMist = match?.[3]?.toLowerCase() === 'mist';
  const [whole = '', fraction = ''] = [match?.[1], match?.[2]];
  const decimals = isMist ? 0 : 9;
  const mist =
    match && fraction.length <= decimals ? BigInt(whole + fraction.padEnd(decimals, '0')) : undefined;
  if (mist === undefined || mist > MAX_U64)
    throw new ConfigurationError(
      'DAAS_AMOUNT_INVALID',
      `${origin}: '${text}' is not an amount: write SUI with at most nine decimals (1000, 0.5) or MIST (500mist)`,
      { details: { origin, value: text } },
    );
  return mist;
}
