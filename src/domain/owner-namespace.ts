/**
 * The namespace of a wallet: `seal-` and the first 40 of its 64 hex digits, since a name has at most 63. Somebody who wants the
 * namespace of another needs an address that agrees in 160 bits.
 */
export function namespaceOfWallet(wallet: string): string {
  return `seal-${wallet.slice(2, 42)}`;
}
