import { normalizeSuiAddress } from '@mysten/sui/utils';
import { backoffDelayMs, type Clock, DaasError, messageOf } from '#base';
import type { ReadObject } from './object-reads.ts';
import type { Nodes, Prover, TrustPin } from './proof/index.ts';

/** An object that was served and not proven: nothing is decided on it. */
interface Unproven {
  readonly objectId: string;
  readonly version: bigint;
  /** Why, on one line. */
  readonly detail: string;
  /** The endpoint that served it, where it contradicts what the validators signed; else the proof is only missing. */
  readonly contradictedBy: string | undefined;
}
export type UnprovenListener = (unproven: Unproven) => void;

export interface ObjectProofsOptions {
  readonly nodes: Nodes;
  readonly pin: TrustPin;
  readonly clock: Clock;
  readonly onUnproven?: UnprovenListener | undefined;
  /** How long a proof that cannot be had yet is waited for. A checkpoint is certified one to two seconds after. */
  readonly waitForMs?: number;
  readonly random?: () => number;
}

/** The endpoint that served the objects: it has to prove what it serves, before others are asked for the proof. */
interface Source {
  readonly url: string;
  readonly call: Nodes['read'];
}

/** Compares what full nodes serve with what the chain's validators signed. */
export interface ObjectProofs {
  /**
   * The objects that are proven, as they were signed. A version older than one that was proven before is replaced by that
   * one: a node that is behind or replays cannot take anything back.
   */
  proven(
    objects: ReadonlyMap<string, ReadObject>,
    source: Source,
    signal?: AbortSignal,
  ): Promise<Map<string, ReadObject>>;
}

const DEFAULT_WAIT_MS = 5_000;
const RETRY = { baseMs: 100, maxMs: 1_000 };
/** Objects whose newest proven version is kept. */
const MAX_ENTRIES = 100_000;

export function createObjectProofs(options: ObjectProofsOptions): ObjectProofs {
  const newest = new Map<string, ReadObject>();
  let prover: Promise<Prover> | undefined;

  /** Loaded with the first object: without a trust pin the curve arithmetic is never loaded. */
  function openProver(): Promise<Prover> {
    prover ??= import('./proof/index.ts').then(({ createProver }) => createProver(options));
    return prover;
  }

  async function prove(
    object: ReadObject,
    source: Source,
    signal?: AbortSignal,
  ): Promise<ReadObject | undefined> {
    const known = newest.get(object.id);
    if (known && (known.version > object.version || known.digest === object.digest)) return known;
    let isBySource = true;
    try {
      const prover = await openProver();
      let proven = await proveBy(prover, object, nodesBehind(source));
      isBySource = false;
      proven ??= await withRetry(() => prover.prove(object), options, signal);
      return keep({ ...proven, content: proven.contents, type: proven.type ?? 'package' });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof DaasError && error.details.reason === 'fork') throw error;
      options.onUnproven?.({
        objectId: object.id,
        version: object.version,
        detail: messageOf(error),
        // The whole pool takes part in a proof by all: its contradictions are of an endpoint that is not known.
        contradictedBy: isBySource && isContradiction(error) ? source.url : undefined,
      });
      return undefined;
    }
  }

  function refuseOther(id: string, { id: other, version }: ReadObject, { url }: Source): void {
    const detail = `the node served object ${other} in its place`;
    options.onUnproven?.({ objectId: id, version, detail, contradictedBy: url });
  }

  function keep(object: ReadObject): ReadObject {
    const known = newest.get(object.id);
    if (known && known.version > object.version) return known;
    newest.delete(object.id);
    newest.set(object.id, object);
    const [oldest] = newest.keys();
    if (newest.size > MAX_ENTRIES && oldest !== undefined) newest.delete(oldest);
    return object;
  }

  return {
    async proven(objects, source, signal) {
      const entries = await Promise.all(
        [...objects].map(async ([id, object]) => {
          // A genuine object under the id of another one proves nothing of the one that was asked for.
          const isAsked = normalizeSuiAddress(id) === normalizeSuiAddress(object.id);
          if (!isAsked) refuseOther(id, object, source);
          return [id, isAsked ? await prove(object, source, signal) : undefined] as const;
        }),
      );
      return new Map(entries.flatMap(([id, object]) => (object ? [[id, object] as const] : [])));
    },
  };
}

async function withRetry<T>(
  body: () => Promise<T>,
  { clock, random = Math.random, waitForMs = DEFAULT_WAIT_MS }: ObjectProofsOptions,
  signal?: AbortSignal,
): Promise<T> {
  const giveUpAtMs = clock.monotonicMs() + waitForMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await body();
    } catch (error) {
      const delayMs = backoffDelayMs(attempt, RETRY, random);
      if (!isPassing(error) || clock.monotonicMs() + delayMs > giveUpAtMs) throw error;
      await clock.sleep(delayMs, signal);
    }
  }
}

/** One for each source: readers of the same endpoint share a proof. */
const nodesOf = new WeakMap<Source, Nodes>();

function nodesBehind(source: Source): Nodes {
  const nodes = nodesOf.get(source) ?? { read: source.call };
  nodesOf.set(source, nodes);
  return nodes;
}

/** The proof by the endpoint that served the object; `undefined` when it has none. Throws when it contradicts itself. */
async function proveBy(prover: Prover, object: ReadObject, source: Nodes) {
  try {
    return await prover.prove(object, source);
  } catch (error) {
    if (isContradiction(error)) throw error;
    return undefined;
  }
}

/** Reasons that say that something was served which the validators did not sign; others say that the proof is missing. */
const CONTRADICTIONS: ReadonlySet<unknown> = new Set([
  'object-mismatch',
  'object-not-written',
  'contents-mismatch',
  'effects-mismatch',
  'events-mismatch',
  'transaction-missing',
  'signature-invalid',
  'no-quorum',
]);

function isContradiction(error: unknown): boolean {
  return error instanceof DaasError && CONTRADICTIONS.has(error.details.reason);
}

/** Not certified yet, or the node is away: the same question may be answered in a moment. */
function isPassing(error: unknown): boolean {
  return error instanceof DaasError && (error.isRetryable || error.details.reason === 'incomplete');
}
