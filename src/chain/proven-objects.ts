import type { ReadObject } from './object-reads.ts';
import type { KeptProof, ProofStore } from './proof/index.ts';

/** An object as the validators signed it. */
export interface ProvenRead extends ReadObject {
  /** The chain's time of the checkpoint that it was written in; of what only a probe proves, that of the probe. */
  readonly writtenAtMs: number;
}

/** The newest proven version of each object: nothing that a node serves can take it back. */
export interface ProvenObjects {
  get(id: string): ProvenRead | undefined;
  /** Returns the newest: what is given, or a newer one that is known. */
  keep(object: ProvenRead, proof?: KeptProof['proof']): ProvenRead;
  /** Notes that this version was the newest one at that time of the chain. */
  confirm(id: string, version: bigint, atMs: number): void;
}

/** Of the contents kept in memory; a cluster object has up to 50 kB, a record 300 B. */
const MOST_BYTES = 32 * 1024 * 1024;
/** What an entry costs beside its contents. */
const ENTRY_BYTES = 600;

/** `restore`: reads what the store keeps of an object, which was verified before it was kept. */
export function createProvenObjects(
  store: ProofStore | undefined,
  restore: (kept: KeptProof) => ProvenRead | undefined,
  nowMs: () => number,
  mostBytes = MOST_BYTES,
): ProvenObjects {
  const newest = new Map<string, ProvenRead>();
  let bytes = 0;

  function set(object: ProvenRead): ProvenRead {
    remove(object.id);
    newest.set(object.id, object);
    bytes += sizeOf(object);
    for (const id of newest.keys()) {
      if (bytes <= mostBytes || newest.size === 1) break;
      remove(id);
    }
    return object;
  }

  function remove(id: string): void {
    const before = newest.get(id);
    if (!before) return;
    newest.delete(id);
    bytes -= sizeOf(before);
  }

  function get(id: string): ProvenRead | undefined {
    const known = newest.get(id);
    if (known) return known;
    const kept = store?.proof(id);
    const restored = kept && restore(kept);
    return restored?.id === id ? set(restored) : undefined;
  }

  return {
    get,
    keep(object, proof) {
      const known = get(object.id);
      if (known && known.version >= object.version) return known;
      if (proof) store?.keepProof(object.id, { version: object.version, provenAtMs: nowMs(), proof });
      return set(object);
    },
    confirm(id, version, atMs) {
      const known = get(id);
      if (known?.version === version) set({ ...known, probedAtMs: Math.max(known.probedAtMs ?? 0, atMs) });
    },
  };
}

const sizeOf = ({ content }: ProvenRead) => ENTRY_BYTES + content.length;
