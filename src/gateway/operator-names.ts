import { EXPECTED, ORDINARY, RESERVED } from '#domain';

/** A name of the operator's that is to be listed otherwise. */
export interface DueListing {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** How long a name is open to a Node that the operator expects. */
const expectedForMs = 15 * 60_000;

/**
 * Which of the operator's names are listed otherwise than their Nodes ask for. A name that may register without a stake and
 * has no Node is open to everybody with a join credential of his own: k3s gives whoever claims a name first a certificate
 * for it. An ordinary name without its Node is therefore reserved at once, an expected one after a while.
 * `firstSeenAtMs` remembers since when a name is expected; it is brought up to date.
 */
export function dueListings({
  names,
  nodes,
  firstSeenAtMs,
  nowMs,
}: {
  readonly names: ReadonlyMap<string, string>;
  readonly nodes: ReadonlyMap<string, unknown>;
  readonly firstSeenAtMs: Map<string, number>;
  readonly nowMs: number;
}): readonly DueListing[] {
  for (const name of firstSeenAtMs.keys()) if (names.get(name) !== EXPECTED) firstSeenAtMs.delete(name);
  const due: DueListing[] = [];
  for (const [name, listing] of names) {
    if (listing === ORDINARY && !nodes.has(name)) due.push({ name, from: ORDINARY, to: RESERVED });
    if (listing !== EXPECTED) continue;
    const sinceMs = firstSeenAtMs.get(name) ?? nowMs;
    firstSeenAtMs.set(name, sinceMs);
    if (nodes.has(name)) due.push({ name, from: EXPECTED, to: ORDINARY });
    else if (nowMs - sinceMs >= expectedForMs) due.push({ name, from: EXPECTED, to: RESERVED });
  }
  return due;
}
