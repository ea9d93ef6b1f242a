/**
 * How a node name is listed in the cluster: the tier of a stake, `untainted`, or one of the operator's three. They are
 * permanent: clusters in the field hold them.
 */

/** The operator's, and its Node exists: it may register again without a stake until its Node is deleted. */
export const ORDINARY = 'ordinary';
/** The operator's, and its Node may register now; the gateway lists it as ordinary when it has, as reserved when it has not. */
export const EXPECTED = 'expected';
/** The operator's, and no Node may register under it: a server without a Node, an ordinary Node that was deleted. */
export const RESERVED = 'reserved';
/** A staked name of whose Node no taint is demanded (`gateway.taintNodes` is off). */
export const UNTAINTED = 'untainted';

const operators: ReadonlySet<string> = new Set([ORDINARY, EXPECTED, RESERVED]);

/** Whether no stake may take or free a name with this listing. */
export function isOperatorsName(listing: string | undefined): boolean {
  return listing !== undefined && operators.has(listing);
}
