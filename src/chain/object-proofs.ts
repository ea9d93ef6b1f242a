import { normalizeSuiAddress } from '@mysten/sui/utils';
import { type Clock, DaasError, EXIT, messageOf } from '#base';
import type { ReadObject } from './object-reads.ts';
import type {
  KeptProof,
  Nodes,
  Pairing,
  ProofStore,
  Proven,
  Prover,
  TransactionProof,
  TrustAnchors,
} from './proof/index.ts';
import { isContradiction, isFinal, withRetry } from './proof-failures.ts';
import { createProvenObjects, type ProvenRead } from './proven-objects.ts';
import { newestShown, takeView, unhide, type View, type Viewing, type ViewOptions } from './proven-views.ts';

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
  /** Asked for what the endpoint that served an object cannot prove. */
  readonly archive?: Nodes | undefined;
  /** Asked with the first object: on a first use without a pin, the nodes name it. */
  readonly anchors: () => Promise<TrustAnchors>;
  readonly store?: ProofStore | undefined;
  readonly clock: Clock;
  readonly onUnproven?: UnprovenListener | undefined;
  /** Called once, with the evidence that two checkpoints of one height are signed. */
  readonly onFork?: ((evidence: string) => void) | undefined;
  /** Where signatures are verified; left out: as the load asks for it. */
  readonly pairing?: Pairing | undefined;
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
  ): Promise<Map<string, ProvenRead>>;
  /** The newest proven version of an object, without asking anybody. */
  newest(id: string): ProvenRead | undefined;
  /** Takes a proof that somebody brought. Returns the objects that it proves; throws `ProofError`. */
  accept(proof: TransactionProof): Promise<readonly ProvenRead[]>;
  /**
   * Takes what a transaction of this program's own has seen of shared objects: from then on an older version of one counts
   * as not read. Waits until the transaction is certified, and throws what kept it from being proven.
   */
  takeView(transaction: string, options: ViewOptions): Promise<View>;
  /** The newest checkpoint time of all that was proven. */
  newestWrittenAtMs(): number | undefined;
}

const DEFAULT_WAIT_MS = 5_000;
/** Proofs of one reading under way: each is three calls to a full node. */
const MOST_AT_ONCE = 16;
/** How often the committees are followed to the newest while nothing needs it: an epoch lasts a day. */
const KEEP_UP_MS = 3_600_000;

/** What all proofs of one client share. */
interface Proving extends ObjectProofsOptions, Viewing {
  writtenAtMs: number | undefined;
  keptUpAtMs: number | undefined;
  /** The evidence of two signed checkpoints of one height. */
  fork: string | undefined;
}

export function createObjectProofs(options: ObjectProofsOptions): ObjectProofs {
  const { store, clock } = options;
  const { openProver, module } = proverOf(options);
  const proving: Proving = {
    ...options,
    keep: (proven) => keep(proving, proven),
    objects: createProvenObjects(
      store,
      (kept) => restored(kept, module()),
      () => clock.nowMs(),
    ),
    openProver,
    writtenAtMs: undefined,
    keptUpAtMs: undefined,
    fork: store?.fork(),
    hidden: new Map(),
  };
  return {
    proven: (asked, source, signal) => provenOf(proving, asked, source, signal),
    newest: (id) => newestShown(proving, normalizeSuiAddress(id)),
    accept: (proof) => stoppingAtFork(proving, () => accept(proving, proof)),
    takeView: (transaction, options) =>
      stoppingAtFork(proving, () => takeView(proving, transaction, options)),
    newestWrittenAtMs: () => proving.writtenAtMs,
  };
}

async function provenOf(
  proving: Proving,
  asked: ReadonlyMap<string, ReadObject>,
  source: Source,
  signal?: AbortSignal,
): Promise<Map<string, ProvenRead>> {
  const proven = new Map<string, ProvenRead>();
  // One iterator for all of them: each takes the next that nobody has taken.
  const waiting = asked.entries();
  const proveNext = async () => {
    for (const [id, object] of waiting) {
      // A genuine object under the id of another one proves nothing of the one that was asked for.
      const isAsked = normalizeSuiAddress(id) === normalizeSuiAddress(object.id);
      if (!isAsked) refuseOther(proving, id, object, source);
      const shown = isAsked ? await prove(proving, object, source, signal) : undefined;
      if (shown) proven.set(id, shown);
    }
  };
  await Promise.all(Array.from({ length: Math.min(MOST_AT_ONCE, asked.size) }, proveNext));
  keepUp(proving);
  return proven;
}

async function prove(proving: Proving, object: ReadObject, source: Source, signal?: AbortSignal) {
  assertNoFork(proving);
  let isBySource = true;
  try {
    const prover = await proving.openProver();
    const hidden = proving.hidden.get(normalizeSuiAddress(object.id));
    if (hidden && hidden.version >= object.version) return await unhide(proving, hidden);
    const known = proving.objects.get(object.id);
    if (known && (known.version > object.version || known.digest === object.digest)) return known;
    let proven = await proveBy(prover, object, nodesBehind(source));
    isBySource = false;
    if (proving.archive) proven ??= await proveFromArchive(prover, object, proving.archive);
    proven ??= await withRetry(() => prover.prove(object), {
      ...proving,
      waitForMs: proving.waitForMs ?? DEFAULT_WAIT_MS,
      signal,
    });
    return proving.keep(proven);
  } catch (error) {
    signal?.throwIfAborted();
    stopAtFork(proving, error);
    if (isFinal(error)) throw error;
    proving.onUnproven?.({
      objectId: object.id,
      version: object.version,
      detail: messageOf(error),
      // The whole pool takes part in a proof by all: its contradictions are of an endpoint that is not known.
      contradictedBy: isBySource && isContradiction(error) ? source.url : undefined,
    });
    return undefined;
  }
}

async function accept(proving: Proving, proof: TransactionProof): Promise<readonly ProvenRead[]> {
  const prover = await proving.openProver();
  return (await prover.verify(proof)).map(proving.keep);
}

async function stoppingAtFork<T>(proving: Proving, body: () => Promise<T>): Promise<T> {
  assertNoFork(proving);
  try {
    return await body();
  } catch (error) {
    stopAtFork(proving, error);
    throw error;
  }
}

function keep(
  proving: Proving,
  { object, writtenAtMs, proof }: Pick<Proven, 'object' | 'writtenAtMs'> & Partial<Proven>,
): ProvenRead {
  proving.writtenAtMs = Math.max(proving.writtenAtMs ?? 0, writtenAtMs);
  const kept = proving.objects.keep(readOf({ object, writtenAtMs }), proof);
  const id = normalizeSuiAddress(kept.id);
  // What is newer than the hidden version is the answer that was missing.
  if ((proving.hidden.get(id)?.version ?? kept.version) < kept.version) proving.hidden.delete(id);
  return kept;
}

function refuseOther(
  { onUnproven }: Proving,
  id: string,
  { id: other, version }: ReadObject,
  { url }: Source,
): void {
  const detail = `the node served object ${other} in its place`;
  onUnproven?.({ objectId: id, version, detail, contradictedBy: url });
}

/** In the background: a reader waits for no committee that it does not need. */
function keepUp(proving: Proving): void {
  const nowMs = proving.clock.monotonicMs();
  if (proving.keptUpAtMs !== undefined && nowMs - proving.keptUpAtMs < KEEP_UP_MS) return;
  proving.keptUpAtMs = nowMs;
  proving
    .openProver()
    .then((prover) => prover.keepUp())
    .catch((error: unknown) => {
      stopAtFork(proving, error);
      // The next object that needs a newer committee says what is wrong.
      proving.keptUpAtMs = undefined;
    });
}

function assertNoFork({ fork }: Proving): void {
  if (fork !== undefined) throw new DaasError('DAAS_CHAIN_FORK', forkMessage(fork), FORK_OPTIONS);
}

/** Two signed checkpoints of one height: from now on nothing is believed, by this process and by later ones. */
function stopAtFork(proving: Proving, error: unknown): void {
  if (!(error instanceof DaasError) || error.details.reason !== 'fork' || proving.fork !== undefined) return;
  proving.fork = error.message;
  proving.store?.keepFork(error.message);
  proving.onFork?.(error.message);
}

/** From the store: a proof that cannot be read is made again, as if it had not been kept. */
function restored({ proof }: KeptProof, module: ProofModule | undefined): ProvenRead | undefined {
  try {
    const read = module?.readProof(proof);
    return read && readOf(read);
  } catch {
    return undefined;
  }
}

type ProofModule = typeof import('./proof/index.ts');

/** Loaded with the first object: without proofs the curve arithmetic is never loaded. A failure is tried again. */
function proverOf({ nodes, anchors, store, clock, pairing }: ObjectProofsOptions) {
  let loaded: ProofModule | undefined;
  let prover: Promise<Prover> | undefined;
  return {
    module: () => loaded,
    openProver: (): Promise<Prover> => {
      prover ??= Promise.all([import('./proof/index.ts'), anchors()]).then(([module, known]) => {
        loaded = module;
        const nowMs = () => clock.nowMs();
        return module.createProver({ nodes, anchors: known, store, nowMs, ...(pairing && { pairing }) });
      });
      const opening = prover;
      opening.catch(() => {
        if (prover === opening) prover = undefined;
      });
      return opening;
    },
  };
}

function readOf({ object, writtenAtMs }: Pick<Proven, 'object' | 'writtenAtMs'>): ProvenRead {
  const { contents, type, ...rest } = object;
  return { ...rest, content: contents, type: type ?? 'package', writtenAtMs };
}

const FORK_OPTIONS = { exitCode: EXIT.configuration, details: { reason: 'fork' } };

function forkMessage(evidence: string): string {
  return `nothing of this chain is believed any more: ${evidence}. Ask the operators of Sui what happened; when it is settled, move away proofs.db in the state directory`;
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

/** The archive only carries bytes: what it lacks, or gets wrong, is asked of the pool. */
async function proveFromArchive(prover: Prover, object: ReadObject, archive: Nodes) {
  try {
    return await prover.prove(object, archive);
  } catch (error) {
    if (isFinal(error)) throw error;
    return undefined;
  }
}
