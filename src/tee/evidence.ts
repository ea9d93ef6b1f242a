/** Every kind of evidence that this project checks; any other is refused by name. */
export const EVIDENCE_KINDS = ['nitro', 'nitrotpm', 'sev-snp', 'tdx', 'sgx', 'tpm', 'command'] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

/** What a machine shows for itself, and what its vendor published about such machines. */
export interface Evidence {
  readonly kind: EvidenceKind;
  /** As the platform made it: a COSE document, a report, a quote. The kind `tpm` has an envelope (`tpm-envelope.ts`). */
  readonly bytes: Uint8Array;
  /** For the kind `command`: the name of the format, by which the policy finds the program. */
  readonly format?: string | undefined;
  readonly collateral: readonly CollateralItem[];
}

export const COLLATERAL_NAMES = ['certificate', 'crl', 'tcb-info', 'qe-identity'] as const;
export type CollateralName = (typeof COLLATERAL_NAMES)[number];

/**
 * One published document. `certificate` and `crl` are DER; `tcb-info` and `qe-identity` are Intel's replies, byte for byte,
 * since their signatures are over the text itself.
 */
export interface CollateralItem {
  readonly name: CollateralName;
  readonly content: Uint8Array;
  /** PEM, leaf first: who signed a `tcb-info` or `qe-identity`. */
  readonly issuerChain?: string | undefined;
  /** Where it was fetched from, for people. */
  readonly source?: string | undefined;
  readonly fetchedAtMs?: number | undefined;
}

export function collateralNamed(
  collateral: readonly CollateralItem[],
  name: CollateralName,
): readonly CollateralItem[] {
  return collateral.filter((item) => item.name === name);
}
