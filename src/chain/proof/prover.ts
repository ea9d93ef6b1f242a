import { type Nodes, readObjectBytes, readTransaction } from './collect.ts';
import { type CommitteeFollowerOptions, createCommitteeFollower } from './committee-follower.ts';
import type { Committees } from './committees.ts';
import { digestOf } from './digest.ts';
import { createPairing, type Pairing } from './pairing.ts';
import { ProofError } from './proof-error.ts';
import {
  objectsOf,
  type ProvenObject,
  type ProvenTransaction,
  readCertified,
  type TransactionProof,
  verifyTransactionBy,
} from './transaction-proof.ts';
import { readObject, readSummary } from './wire.ts';

/** One version of an object, as a full node names it. */
export interface ObjectVersion {
  readonly id: string;
  readonly version: bigint;
  readonly digest: string;
}

/** A proven version, the checkpoint that it was written in, and everything that proves it. */
export interface Proven {
  readonly object: ProvenObject;
  /** The chain's time of the checkpoint that it was written in. */
  readonly writtenAtMs: number;
  readonly proof: TransactionProof;
}

export type ProverOptions = CommitteeFollowerOptions;

/** Proves object versions against the committees that follow from the pin. */
export interface Prover {
  /**
   * The object as the chain's validators signed it. Throws {@link ProofError} when the bytes are not what was signed, and
   * what the nodes throw when the proof cannot be had now. `from`: the nodes that are asked for it, instead of all. Calls
   * with the same `from` share one proof. A contradiction by one `from` is that node's own.
   */
  prove(wanted: ObjectVersion, from?: Nodes): Promise<Proven>;
  /** A transaction by its digest, asked of all nodes. Throws as {@link prove}; one that failed proves nothing. */
  transaction(digest: string): Promise<ProvenTransaction>;
  /** The bytes of a version whose digest is proven already, as any node serves them. Throws `object-mismatch`. */
  bytesOf(wanted: ObjectVersion): Promise<ProvenObject>;
  /** Verifies a proof that somebody brought; its objects are those of one transaction. */
  verify(proof: TransactionProof): Promise<readonly Proven[]>;
  /** Follows the committees to the newest one, so that the trust never grows old. */
  keepUp(): Promise<void>;
}

export function createProver(options: ProverOptions): Prover {
  const { nodes, pairing = createPairing() } = options;
  // By the nodes that are asked: a proof by a lying node must not fail for the reader of an honest one.
  const underway = new WeakMap<Nodes, Map<string, Promise<Proven>>>();
  const follower = createCommitteeFollower({ ...options, pairing });

  const reading = new WeakMap<Nodes, Map<string, Promise<TransactionProof>>>();

  /** Its proof without objects: a join writes record, token and cluster in one transaction, which is read once for all. */
  const transactionOf = (from: Nodes, digest: string) =>
    shared(reading, from, digest, () => readTransaction(from, digest, []));

  // Without the caller's signal: several may wait for one proof.
  async function proveAnew({ id, version, digest }: ObjectVersion, from: Nodes): Promise<Proven> {
    const bytes = await readObjectBytes(from, id, version);
    if (digestOf('Object', bytes) !== digest) {
      throw new ProofError(
        'object-mismatch',
        `the bytes of object ${id} do not have the digest that was named`,
      );
    }
    const written = await transactionOf(from, readObject(bytes).previousTransaction);
    const proof = { ...written, objects: [bytes] };
    const [proven] = await verified(pairing, await follower.upTo(epochOf(proof), from), proof);
    if (proven?.object.id !== id || proven.object.version !== version) {
      throw new ProofError(
        'object-mismatch',
        `the bytes served for object ${id} are those of another object`,
      );
    }
    return proven;
  }

  return {
    prove(wanted, from = nodes) {
      const key = `${wanted.id}@${wanted.version}#${wanted.digest}`;
      return shared(underway, from, key, () => proveAnew(wanted, from));
    },
    async transaction(digest) {
      const proof = await readTransaction(nodes, digest, []);
      return verifyTransactionBy(pairing, await follower.upTo(epochOf(proof), nodes), proof);
    },
    async bytesOf({ id, version, digest }) {
      const bytes = await readObjectBytes(nodes, id, version);
      const object = readCertified(bytes, digest);
      if (object.id === id && object.version === version) return object;
      throw new ProofError(
        'object-mismatch',
        `the bytes served for object ${id} are those of another object`,
      );
    },
    async verify(proof) {
      const epoch = epochOf(proof);
      const newest = await follower.newestEpoch();
      // Whoever brings it could name any epoch, and each is a read of all nodes.
      if (epoch > newest + 1n)
        throw new ProofError(
          'committee-unknown',
          `the proof is of epoch ${epoch}; the newest committee that is known is that of epoch ${newest}`,
        );
      return verified(pairing, await follower.upTo(epoch, nodes), proof);
    },
    keepUp: () => follower.keepUp(),
  };
}

/** What is asked of the same nodes while the same question is open gets its answer. */
function shared<T>(
  open: WeakMap<Nodes, Map<string, Promise<T>>>,
  from: Nodes,
  key: string,
  ask: () => Promise<T>,
): Promise<T> {
  const byKey = open.get(from) ?? new Map<string, Promise<T>>();
  open.set(from, byKey);
  const running = byKey.get(key);
  if (running) return running;
  const attempt = ask().finally(() => byKey.delete(key));
  byKey.set(key, attempt);
  return attempt;
}

/** What a proof says of its objects; nothing of it is verified. */
export function readObjects(proof: TransactionProof): readonly ProvenObject[] {
  return objectsOf(proof, readSummary(proof.summary).contentDigest);
}

/** What a proof of this program's own store shows of its object; it was verified before it was kept. */
export function readProof(proof: TransactionProof): Pick<Proven, 'object' | 'writtenAtMs'> | undefined {
  const { timestampMs, contentDigest } = readSummary(proof.summary);
  const [object] = objectsOf(proof, contentDigest);
  return object && { object, writtenAtMs: Number(timestampMs) };
}

const epochOf = ({ summary }: TransactionProof) => BigInt(readSummary(summary).epoch);

async function verified(
  pairing: Pairing,
  committees: Committees,
  proof: TransactionProof,
): Promise<Proven[]> {
  const { checkpoint, objects } = await verifyTransactionBy(pairing, committees, proof);
  return objects.map((object, index) => ({
    object,
    writtenAtMs: checkpoint.timestampMs,
    proof: { ...proof, objects: [proof.objects[index] as Uint8Array] },
  }));
}
