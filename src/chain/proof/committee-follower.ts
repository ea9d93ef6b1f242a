import { createMutex } from '#base';
import { type CertifiedCheckpoint, prepareCheckpoint } from './certificate.ts';
import { lastCheckpointOf, type Nodes, readPinned } from './collect.ts';
import { Committees, committeeOfPin, pinnedCheckpoint, restoreCommittees } from './committees.ts';
import { createPairing, type Pairing } from './pairing.ts';
import { ProofError } from './proof-error.ts';
import type { ProofStore } from './proof-store.ts';
import { formatPin, type TrustAnchors } from './trust-pin.ts';

export interface CommitteeFollowerOptions {
  readonly nodes: Nodes;
  readonly anchors: TrustAnchors;
  /** Where the committees are kept from one start to the next. */
  readonly store?: ProofStore | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Where signatures are verified. */
  readonly pairing?: Pairing;
}

/** Follows the committees from the trust pin on, one Sui epoch after the other. */
export interface CommitteeFollower {
  /**
   * The committees up to this epoch's at least, asked of all nodes; of `from` alone when one of all, which is not known,
   * withholds a step or serves one that the validators did not sign. Throws {@link ProofError} and what the nodes throw.
   */
  upTo(epoch: bigint, from: Nodes): Promise<Committees>;
  /** Epoch of the newest committee that was followed to; opens what is kept, and goes no further. */
  newestEpoch(): Promise<bigint>;
  /** Goes on to the newest committee that the nodes can show. */
  keepUp(): Promise<void>;
}

/**
 * From a committee that is older, nothing is believed without a recent pin: its members have left long ago, and may sign
 * another history of their time with keys that they have no use for any more.
 */
const TRUST_LIFE_MS = 14 * 86_400_000;

interface Following extends CommitteeFollowerOptions {
  readonly pairing: Pairing;
  committees: Committees | undefined;
  /** The trust was recent enough when this process first looked; from there it follows without a gap. */
  isRecent: boolean;
}

export function createCommitteeFollower(options: CommitteeFollowerOptions): CommitteeFollower {
  const { pairing = createPairing() } = options;
  const state: Following = { ...options, pairing, committees: undefined, isRecent: false };
  const { nodes } = options;
  // Two readers must not take the same step twice.
  const exclusive = createMutex();
  const followed = (by: Nodes, epoch: bigint) => exclusive(() => follow(state, by, epoch));
  return {
    async upTo(epoch, from) {
      const known = followedAlready(state, epoch);
      if (known) return known;
      try {
        return await followed(nodes, epoch);
      } catch (error) {
        if (isOfChainOrPin(error)) throw error;
        if (from === nodes) throw isBadStep(error) ? committeeUnknown(epoch, error) : error;
        return followed(from, epoch);
      }
    },
    newestEpoch: async () => (await followed(nodes, 0n)).newestEpoch,
    async keepUp() {
      try {
        await followed(nodes, FAR_EPOCH);
      } catch (error) {
        // The newest epoch has no last checkpoint: that is where the way ends.
        if (!(error instanceof ProofError && error.reason === 'incomplete')) throw error;
      }
    },
  };
}

/** Without the queue: what is known needs no step, and a claimed epoch that does must hold nobody else up. */
function followedAlready(
  { committees, isRecent, anchors: { recentTrust } }: Following,
  epoch: bigint,
): Committees | undefined {
  if (!committees || !isRecent) return undefined;
  const isPastRecentPin = !recentTrust || committees.newestEpoch > BigInt(recentTrust.epoch);
  return isPastRecentPin && epoch <= committees.newestEpoch ? committees : undefined;
}

const FAR_EPOCH = 2n ** 63n;

/** A claimed epoch that is far ahead ends where the chain's own last checkpoints do. */
async function follow(state: Following, by: Nodes, epoch: bigint): Promise<Committees> {
  state.committees ??= await openCommittees(state, by);
  const { committees, anchors } = state;
  const { recentTrust } = anchors;
  await assertRecent(state, committees, by);
  // The way has to lead through the recent pin, whatever epoch was asked for.
  const last = recentTrust && BigInt(recentTrust.epoch) >= epoch ? BigInt(recentTrust.epoch) + 1n : epoch;
  while (committees.newestEpoch < last) {
    await takeStep(state, committees, await lastCheckpointOf(by, committees.newestEpoch));
    await assertRecent(state, committees, by);
  }
  return committees;
}

async function takeStep(
  { store, pairing }: Following,
  committees: Committees,
  lastOfEpoch: CertifiedCheckpoint,
): Promise<void> {
  const prepared = prepareCheckpoint(committees.of(committees.newestEpoch), lastOfEpoch);
  committees.take(await pairing(prepared));
  store?.addStep(lastOfEpoch);
}

async function openCommittees({ anchors, store }: Following, by: Nodes): Promise<Committees> {
  const { trust, recentTrust: recent } = anchors;
  const kept = store?.steps(trust);
  if (kept) return restoreCommittees(trust, kept, recent);
  const { pinned } = await readPinned(by, trust);
  const committees = new Committees([committeeOfPin(trust, pinned)], { recent });
  store?.begin(trust, pinned);
  return committees;
}

/** Throws `trust-too-old`, once: a process that follows from a recent committee on leaves no gap. */
async function assertRecent(state: Following, committees: Committees, by: Nodes): Promise<void> {
  const namedAtMs = committees.newestNamedAtMs;
  // The committee of a chain's first epoch has no date; the first step brings one.
  if (state.isRecent || namedAtMs === undefined) return;
  const { anchors, nowMs } = state;
  const isRecent = isFresh(namedAtMs, nowMs()) || (await isRecentPinFresh(state, committees, by));
  if (!isRecent)
    throw new ProofError(
      'trust-too-old',
      `the newest trusted committee is that of epoch ${committees.newestEpoch}, named on ${dateOf(namedAtMs)}, more than 14 days ago, and the deployment file has no recent pin: compare \`k3s-daas proof pin\` with another source, then add it with \`k3s-daas proof pin --recent --write\` (trust pin: ${formatPin(anchors.trust)})`,
    );
  state.isRecent = true;
}

async function isRecentPinFresh({ anchors, nowMs }: Following, committees: Committees, by: Nodes) {
  const { recentTrust } = anchors;
  if (!recentTrust || BigInt(recentTrust.epoch) < committees.newestEpoch) return false;
  const { summary } = await lastCheckpointOf(by, BigInt(recentTrust.epoch));
  return isFresh(pinnedCheckpoint(recentTrust, summary).timestampMs, nowMs());
}

const isFresh = (atMs: number, nowMs: number) => nowMs - atMs <= TRUST_LIFE_MS;
const dateOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);

/** What no other node would mend: the chain is broken, or the software or the pin too old. */
const OF_CHAIN_OR_PIN: ReadonlySet<unknown> = new Set(['fork', 'unknown-format', 'trust-too-old']);

function isOfChainOrPin(error: unknown): boolean {
  return error instanceof ProofError && OF_CHAIN_OR_PIN.has(error.reason);
}

/** A step that the validators did not sign; one that is only missing may come. */
function isBadStep(error: unknown): error is ProofError {
  return error instanceof ProofError && error.reason !== 'incomplete';
}

/** Any node may have served the broken step: it says nothing about the one that served the object. */
function committeeUnknown(epoch: bigint, cause: ProofError): ProofError {
  if (cause.reason === 'pin-mismatch') return cause;
  const message = `the committees cannot be followed to epoch ${epoch}: ${cause.message}`;
  return new ProofError('committee-unknown', message, { cause });
}
