import type { Clock } from '#base';
import type { Proven, ProvenObject, Prover } from './proof/index.ts';
import { isFinal, withRetry } from './proof-failures.ts';
import type { ProvenObjects, ProvenRead } from './proven-objects.ts';

/** What a proven transaction has seen of shared objects. */
export interface View {
  /** The chain's time, as the validators signed it. */
  readonly seenAtMs: number;
  /** The version of each when the transaction ran, by id. */
  readonly seen: ReadonlyMap<string, { readonly version: bigint }>;
  /** Of these, the objects whose seen version no full node shows. */
  readonly hidden: readonly string[];
}

export interface ViewOptions {
  /** For the checkpoint of the transaction to be certified. */
  readonly waitForMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A version that a probe has seen and no full node has shown yet. */
interface HiddenVersion {
  readonly id: string;
  readonly version: bigint;
  readonly digest: string;
  /** The chain's time of the probe. */
  readonly seenAtMs: number;
}

/** What the views of one client share. */
export interface Viewing {
  readonly clock: Clock;
  readonly objects: ProvenObjects;
  readonly openProver: () => Promise<Prover>;
  readonly keep: (proven: Pick<Proven, 'object' | 'writtenAtMs'> & Partial<Proven>) => ProvenRead;
  /** By id. While an object is in here, its older versions count as not read. */
  readonly hidden: Map<string, HiddenVersion>;
}

/**
 * Takes what a transaction of this program's own has seen. Its sender chose the time, so a full node can hide no change from
 * before it: the effects, which the validators signed, name the version of each shared object that it was given.
 */
export async function takeView(
  viewing: Viewing,
  transaction: string,
  { waitForMs, signal }: ViewOptions,
): Promise<View> {
  const { clock } = viewing;
  const prover = await viewing.openProver();
  const { checkpoint, seen } = await withRetry(() => prover.transaction(transaction), {
    clock,
    waitForMs,
    signal,
    // A node that is behind does not know the transaction, which is no passing failure elsewhere.
    isWorthAnother: (error) => !isFinal(error),
  });
  const seenAtMs = checkpoint.timestampMs;
  const hidden: string[] = [];
  for (const [id, version] of seen)
    if (!(await isShown(viewing, { id, ...version, seenAtMs }))) hidden.push(id);
  return { seenAtMs, seen, hidden };
}

/** The newest proven version of an object; `undefined` while a newer one is hidden. */
export function newestShown({ objects, hidden }: Viewing, id: string): ProvenRead | undefined {
  const known = objects.get(id);
  return known && known.version >= (hidden.get(id)?.version ?? 0n) ? known : undefined;
}

async function isShown(viewing: Viewing, seen: HiddenVersion): Promise<boolean> {
  const { id, version, seenAtMs } = seen;
  const known = viewing.objects.get(id)?.version ?? 0n;
  if (known > version) return true;
  if (known === version) {
    viewing.objects.confirm(id, version, seenAtMs);
    return true;
  }
  viewing.hidden.set(id, seen);
  try {
    await unhide(viewing, seen);
    return true;
  } catch (error) {
    if (isFinal(error)) throw error;
    return false;
  }
}

/**
 * A version that a probe has seen: its proof, or where that was pruned its bytes alone, whose digest the probe proves.
 * Throws when no full node shows them.
 */
export async function unhide(viewing: Viewing, wanted: HiddenVersion): Promise<ProvenRead> {
  const { id, version, seenAtMs } = wanted;
  const prover = await viewing.openProver();
  const proven = await prover.prove(wanted).catch(async (error: unknown) => {
    if (isFinal(error)) throw error;
    const object: ProvenObject = await prover.bytesOf(wanted);
    return { object, writtenAtMs: seenAtMs };
  });
  const shown = viewing.keep(proven);
  viewing.hidden.delete(id);
  viewing.objects.confirm(id, version, seenAtMs);
  return viewing.objects.get(id) ?? shown;
}
