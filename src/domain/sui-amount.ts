const MIST_PER_SUI = 1_000_000_000n;

/** `1.5 SUI`; amounts below a thousandth of a SUI in MIST, where the decimals would hide them. */
export function formatSui(mist: bigint): string {
  const magnitude = mist < 0n ? -mist : mist;
  if (magnitude > 0n && magnitude < MIST_PER_SUI / 1_000n) return `${mist} MIST`;
  const fraction = (magnitude % MIST_PER_SUI).toString().padStart(9, '0').replace(/0+$/, '');
  const whole = `${mist < 0n ? '-' : ''}${magnitude / MIST_PER_SUI}`;
  return `${whole}${fraction === '' ? '' : `.${fraction}`} SUI`;
}
