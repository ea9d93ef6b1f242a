const powers: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 1_000n,
  m: 1_000_000n,
  '': 10n ** 9n,
  k: 10n ** 12n,
  M: 10n ** 15n,
  G: 10n ** 18n,
  T: 10n ** 21n,
  P: 10n ** 24n,
  E: 10n ** 27n,
  Ki: 10n ** 9n * 2n ** 10n,
  Mi: 10n ** 9n * 2n ** 20n,
  Gi: 10n ** 9n * 2n ** 30n,
  Ti: 10n ** 9n * 2n ** 40n,
  Pi: 10n ** 9n * 2n ** 50n,
  Ei: 10n ** 9n * 2n ** 60n,
};

const form = /^(\d+)(?:\.(\d*))?(?:(n|u|m|k|[MGTPE]|[KMGTPE]i)|[eE](\d{1,2}))?$/;

/**
 * A quantity of Kubernetes (apimachinery `resource.Quantity`, without a sign) in billionths, rounded down; `undefined` for
 * another text. The API server writes quantities in its own form: `1000m` is read back as `1`, `1.5Gi` as `1536Mi`.
 */
export function billionthsOf(text: string): bigint | undefined {
  const [found, whole = '', fraction = '', suffix = '', exponent = '0'] = form.exec(text) ?? [];
  const power = powers[suffix];
  if (found === undefined || power === undefined) return undefined;
  const digits = BigInt(whole + fraction);
  return (digits * power * 10n ** BigInt(exponent)) / 10n ** BigInt(fraction.length);
}

/** Whether two lists of quantities say the same. */
export function isSameQuantities(
  one: Readonly<Record<string, string>> | undefined,
  other: Readonly<Record<string, string>>,
): boolean {
  const names = Object.keys(other);
  if (Object.keys(one ?? {}).length !== names.length) return false;
  return names.every((name) => {
    const amount = billionthsOf(one?.[name] ?? '');
    return (
      one?.[name] === other[name] || (amount !== undefined && amount === billionthsOf(other[name] ?? ''))
    );
  });
}
