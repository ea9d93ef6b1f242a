import { EXPECTED, ORDINARY, RESERVED } from '#domain';

/** One of the operator's names, and the listing it is to have. */
export interface DueListing {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** How long a name stays open to a Node that the operator expects. */
const expectedForMs = 15 * 60_000;

/**
 * The operator's names whose listing does not fit their Nodes. A name that may register without a stake and has no Node is
 * open to every holder of a join credential: k3s gives the first claimant of a name a certificate for it. An ordinary name
 * without its Node is therefore reserved at once, an expected one after a while. `firstSeenAtMs` remembers since when a
 * name is expected; it is updated.
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
