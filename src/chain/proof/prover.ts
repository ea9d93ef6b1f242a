import { createMutex } from '#base';
import { lastCheckpointOf, type Nodes, readObjectBytes, readPinned, readTransaction } from './collect.ts';
import { Committees } from './committees.ts';
import { digestOf } from './digest.ts';
import { ProofError } from './proof-error.ts';
import { type ProvenObject, verifyTransaction } from './transaction-proof.ts';
import type { TrustPin } from './trust-pin.ts';
import { readObject, readSummary } from './wire.ts';

/** One version of an object, as a full node names it. */
export interface ObjectVersion {
  readonly id: string;
  readonly version: bigint;
  readonly digest: string;
}

export interface ProverOptions {
  readonly nodes: Nodes;
  readonly pin: TrustPin;
  /** How many proven versions are kept. */
  readonly maxEntries?: number;
}

/** Proves object versions against the committees that follow from the pin, each version once. */
export interface Prover {
  /**
   * The object as the chain's validators signed it. Throws {@link ProofError} when the bytes are not what was signed, and
   * what the nodes throw when the proof cannot be had now. `from`: the nodes that are asked for it, instead of all. Calls
   * with the same `from` share one proof. A contradiction by one `from` is that node's own.
   */
  prove(wanted: ObjectVersion, from?: Nodes): Promise<ProvenObject>;
}

export function createProver({ nodes, pin, maxEntries = 50_000 }: ProverOptions): Prover {
  const proven = new Map<string, ProvenObject>();
  // By the nodes that are asked: a proof by a lying node must not fail for the reader of an honest one.
  const underway = new WeakMap<Nodes, Map<string, Promise<ProvenObject>>>();
  let committees: Committees | undefined;
  // Two readers must not take the same step twice.
  const exclusive = createMutex();

  /** By all nodes; by `from` alone when one of all, which is not known, serves a step that the validators did not sign. */
  async function committeesUpTo(epoch: bigint, from: Nodes): Promise<Committees> {
    try {
      return await followed(nodes, epoch);
    } catch (error) {
      if (!isBadStep(error)) throw error;
      if (from === nodes) throw committeeUnknown(epoch, error);
      return followed(from, epoch);
    }
  }

  function followed(by: Nodes, epoch: bigint): Promise<Committees> {
    return exclusive(async () => {
      committees ??= await openCommittees(by, pin);
      await follow(by, committees, epoch);
      return committees;
    });
  }

  // Without the caller's signal: several may wait for one proof.
  async function proveAnew({ id, version, digest }: ObjectVersion, from: Nodes): Promise<ProvenObject> {
    const bytes = await readObjectBytes(from, id, version);
    if (digestOf('Object', bytes) !== digest) {
      throw new ProofError(
        'object-mismatch',
        `the bytes of object ${id} do not have the digest that was named`,
      );
    }
    const proof = await readTransaction(from, readObject(bytes).previousTransaction, bytes);
    const known = await committeesUpTo(BigInt(readSummary(proof.summary).epoch), from);
    const [object] = verifyTransaction(known, proof).objects;
    if (object?.id !== id || object.version !== version) {
      throw new ProofError(
        'object-mismatch',
        `the bytes served for object ${id} are those of another object`,
      );
    }
    return object;
  }

  function keep(key: string, object: ProvenObject): void {
    proven.set(key, object);
    const [oldest] = proven.keys();
    if (proven.size > maxEntries && oldest !== undefined) proven.delete(oldest);
  }

  return {
    async prove(wanted, from = nodes) {
      const key = `${wanted.id}@${wanted.version}#${wanted.digest}`;
      const known = proven.get(key);
      if (known) return known;
      const shared = underway.get(from) ?? new Map<string, Promise<ProvenObject>>();
      underway.set(from, shared);
      const running = shared.get(key);
      if (running) return running;
      const attempt = proveAnew(wanted, from).finally(() => shared.delete(key));
      shared.set(key, attempt);
      const object = await attempt;
      keep(key, object);
      return object;
    },
  };
}

async function openCommittees(nodes: Nodes, pin: TrustPin): Promise<Committees> {
  const { pinned } = await readPinned(nodes, pin);
  return new Committees(pin, pinned);
}

/** A claimed epoch that is far ahead ends where the chain's own last checkpoints do. */
async function follow(nodes: Nodes, committees: Committees, epoch: bigint): Promise<void> {
  while (committees.newestEpoch < epoch)
    committees.follow(await lastCheckpointOf(nodes, committees.newestEpoch));
}

/** What no other node would mend: the step is not there yet, the chain itself is broken, or this version is too old. */
const NOT_BY_ONE_NODE: ReadonlySet<unknown> = new Set(['incomplete', 'fork', 'unknown-format']);

function isBadStep(error: unknown): error is ProofError {
  return error instanceof ProofError && !NOT_BY_ONE_NODE.has(error.reason);
}

/** Any node may have served the broken step: it says nothing about the one that served the object. */
function committeeUnknown(epoch: bigint, cause: ProofError): ProofError {
  if (cause.reason === 'pin-mismatch') return cause;
  const message = `the committees cannot be followed to epoch ${epoch}: ${cause.message}`;
  return new ProofError('committee-unknown', message, { cause });
}
