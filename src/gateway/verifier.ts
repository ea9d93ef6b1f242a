import type { Clock } from '#base';
import {
  type ChainFacts,
  createKnownProofHeaders,
  createPublicKeys,
  examineHolder,
  examineStake,
  examineTarget,
  examineTimes,
  isSignedBy,
  type KnownProofHeaders,
  type Machine,
  type ParsedProof,
  parseProof,
} from '#seal';
import type { Applicant } from './admission-context.ts';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import type { Challenges } from './challenge.ts';
import type { Clones } from './clones.ts';
import type { StakeFact } from './decision.ts';
import type { FactCache } from './fact-cache.ts';
import { createHeartbeatSequences, type HeartbeatSequences } from './heartbeat-sequences.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import type { TokenUsage } from './token-usage.ts';
import { countRefusal, type ProvenRequest, refuseSuperseded, refuseUnproven } from './verdict-refusals.ts';
import type { Worker } from './worker.ts';

/** An applicant, as far as the proof names it. */
type Registrant = Pick<
  Applicant,
  'nodeId' | 'holderKey' | 'tokenId' | 'facts' | 'fact' | 'requestId' | 'machine'
> & {
  /** Of the challenge that was used up. */
  readonly nonce: string;
  /** The client key of the node's kubelet has signed the challenge, too. */
  readonly hasKubelet: boolean;
};

/** Asked once the node key has signed: whether the kubelet's key has, too. */
type KubeletCheck = (proven: { readonly nodeId: string; readonly nonce: string }) => boolean;

/** The sender of a heartbeat; its sequence is used up. */
export interface Sender {
  readonly worker: Worker;
  readonly sequence: number;
}

/** The registered worker whose node key signed over a challenge. */
export interface Holder {
  readonly worker: Worker;
  /** Where it was signed, as the proof says. */
  readonly machine: Machine | undefined;
}

/**
 * The verdicts of the public API. Each use of a token is a line of the audit file, refusals are counted. The caller
 * learns the reason only once the signature holds against the key that the chain names.
 */
export interface Verifier {
  /** @throws `ApiProblem`. */
  registration(request: ProvenRequest, isKubelets?: KubeletCheck): Promise<Registrant>;
  /** @throws `ApiProblem`. */
  heartbeat(request: ProvenRequest): Promise<Sender>;
  /**
   * The registered worker whose node key signed over a challenge. Answered from memory: a host shows its certificates while
   * the chain is away too.
   * @throws `ApiProblem`.
   */
  holder(request: ProvenRequest): Promise<Holder>;
}

export interface VerifierOptions {
  readonly facts: FactCache;
  readonly registry: Registry;
  readonly challenges: Challenges;
  readonly audit: Audit;
  readonly refusals: RefusalTally;
  readonly usage: TokenUsage;
  readonly clock: Clock;
  /** By the monotonic clock. Earlier proofs are not believed: this process does not remember which it has seen. */
  readonly startedAtMs: number;
  /** Chain look-ups that strangers of one address may cause. */
  readonly strangers: RateLimit;
  /** Chain look-ups that all strangers together may cause. */
  readonly allStrangers: RateLimit;
  readonly tokens: RateLimit;
  /** Registrations of a node with the token that is known already. */
  readonly registrations: RateLimit;
  readonly clones: Pick<Clones, 'examineHeartbeat'>;
}

interface VerifierContext extends VerifierOptions {
  readonly sequences: HeartbeatSequences;
  /** Imported keys of workers alone: a stranger presents as many keys as it likes. */
  readonly keys: ReturnType<typeof createPublicKeys>;
  /** Of proofs that counted. */
  readonly headers: KnownProofHeaders;
}

/** Imported keys, and headers of proofs, kept; one takes 1.3 KiB, and 0.5. */
const mostKeys = 20_000;

export function createVerifier(options: VerifierOptions): Verifier {
  const context: VerifierContext = {
    ...options,
    sequences: createHeartbeatSequences(options.registry),
    keys: createPublicKeys(mostKeys),
    headers: createKnownProofHeaders(mostKeys),
  };
  return {
    registration: (request, isKubelets = () => false) => verifyRegistration(context, request, isKubelets),
    heartbeat: (request) => verifyHeartbeat(context, request),
    holder: (request) => verifyHolder(context, request),
  };
}

async function verifyRegistration(
  context: VerifierContext,
  request: ProvenRequest,
  isKubelets: KubeletCheck,
): Promise<Registrant> {
  const { registry, audit } = context;
  const proof = parseAndExamine(context, request);
  const { nodeId, tokenId } = proof;
  const presentedKey = await provePresentedKey(context, request, proof);
  const holderKey = Buffer.from(presentedKey).toString('base64url');
  const worker = registry.worker(nodeId);
  const isKnown = worker?.tokenId === tokenId && worker.holderKey === holderKey;
  const facts = await readFacts(context, request, { proof, isKnown });
  const impostor = facts && examineHolder(facts, presentedKey);
  if (impostor) return refuseUnproven(context, request, { reason: impostor, proof });
  const fact = facts ? factOfReading(facts, nodeId) : factWithoutChain(context, worker);
  const { machine, nonce = '' } = proof;
  const hasKubelet = isKubelets({ nodeId, nonce });
  // A budget of its own: a thief of the node key spends the other.
  const payer = hasKubelet ? 'kubelet' : 'node key';
  spend(context, request, proof, payer);
  if (isKnown) spendRegistration(context, request, proof, payer);
  await audit.note('token.used', {
    request_id: request.requestId,
    path: request.target.path,
    address: request.address,
    node_id: nodeId,
    seal_token: tokenId,
    verdict: fact.kind === 'bad' ? fact.reason : fact.kind,
  });
  const { requestId } = request;
  return { nodeId, holderKey, tokenId, facts, fact, requestId, machine, nonce, hasKubelet };
}

/** Form, times and target: what needs neither memory nor cryptography. */
function parseAndExamine(context: VerifierContext, request: ProvenRequest): ParsedProof {
  const { clock, startedAtMs } = context;
  const outcome = parseProof(request.proof, context.headers);
  if (!outcome.ok) return refuseUnproven(context, request, { reason: outcome.reason });
  const { proof } = outcome;
  const nowMs = clock.nowMs();
  // The start in terms of the time of day as it is now, which may have been set since.
  const startedAtMsOfDay = nowMs - (clock.monotonicMs() - startedAtMs);
  const reason =
    examineTimes(proof, { nowMs, startedAtMs: startedAtMsOfDay }) ?? examineTarget(proof, request.target);
  return reason ? refuseUnproven(context, request, { reason, proof }) : proof;
}

/** The key in the proof of a registration, once it has signed it over a challenge of this gateway. */
async function provePresentedKey(
  context: VerifierContext,
  request: ProvenRequest,
  proof: ParsedProof,
): Promise<Uint8Array> {
  const { challenges, clock } = context;
  const { nodeId, nonce, presentedKey } = proof;
  const stale = challenges.examine(nonce, nodeId, clock.monotonicMs());
  if (stale) return refuseUnproven(context, request, { reason: stale, proof });
  if (presentedKey === undefined) return refuseUnproven(context, request, { reason: 'key_missing', proof });
  if (!(await isSignedBy(proof, presentedKey)))
    return refuseUnproven(context, request, { reason: 'signature_invalid', proof });
  // Only now is the challenge used up, by exactly one of several that show it at the same time.
  if (nonce === undefined || !challenges.use(nonce, clock.monotonicMs()))
    return refuseUnproven(context, request, { reason: 'nonce_used', proof });
  return presentedKey;
}

/** `undefined` for a known node while the chain is away. */
async function readFacts(
  context: VerifierContext,
  request: ProvenRequest,
  { proof, isKnown }: { readonly proof: ParsedProof; readonly isKnown: boolean },
): Promise<ChainFacts | undefined> {
  const { facts } = context;
  if (!isKnown && !facts.knows(proof.tokenId)) spendLookUp(context, request, proof);
  try {
    return await facts.read(proof.tokenId, proof.nodeId);
  } catch (cause) {
    if (isKnown) return undefined;
    countRefusal(context, request, { reason: 'chain_unavailable', proof });
    throw new ApiProblem('chain_unavailable', 'the facts on chain cannot be read now', {
      cause,
      retryAfterMs: 3_000,
    });
  }
}

/** A stranger's chain look-up, from the budgets of strangers. */
function spendLookUp(context: VerifierContext, request: ProvenRequest, proof: ParsedProof): void {
  const { strangers, allStrangers, clock } = context;
  const nowMs = clock.monotonicMs();
  // The address's own budget first: an address that has spent it takes nothing of the common one.
  const waitMs = strangers.take(request.address, nowMs) || allStrangers.take('', nowMs);
  if (waitMs === 0) return;
  countRefusal(context, request, { reason: 'rate_limited', proof });
  throw new ApiProblem('rate_limited', 'too many tokens that this gateway does not know', {
    retryAfterMs: waitMs,
  });
}

/** Whose budget a use is taken from. */
type Payer = 'node key' | 'kubelet';

/** One use of a token, from its budget. */
function spend(
  context: VerifierContext,
  request: ProvenRequest,
  proof: ParsedProof,
  payer: Payer = 'node key',
): void {
  const { tokenId } = proof;
  // No key is made for each heartbeat: a token's own name is the key of what its node key spends.
  const budget = payer === 'node key' ? tokenId : `${payer} ${tokenId}`;
  const waitMs = context.tokens.take(budget, context.clock.monotonicMs());
  if (waitMs === 0) return;
  countRefusal(context, request, { reason: 'rate_limited', proof, provenNodeId: proof.nodeId });
  throw new ApiProblem('rate_limited', 'this Seal token is used too often', { retryAfterMs: waitMs });
}

/** Two hosts with one key register in turn for ever: slower and slower, so that neither costs the cluster anything. */
function spendRegistration(
  context: VerifierContext,
  request: ProvenRequest,
  proof: ParsedProof,
  payer: Payer,
): void {
  const waitMs = context.registrations.take(`${payer} ${proof.nodeId}`, context.clock.monotonicMs());
  if (waitMs === 0) return;
  countRefusal(context, request, { reason: 'rate_limited', proof, provenNodeId: proof.nodeId });
  throw new ApiProblem('rate_limited', `node ${proof.nodeId} registers too often`, { retryAfterMs: waitMs });
}

async function verifyHeartbeat(context: VerifierContext, request: ProvenRequest): Promise<Sender> {
  const { registry, sequences, usage } = context;
  const proof = parseAndExamine(context, request);
  const worker = registry.worker(proof.nodeId);
  if (!worker) return refuseUnproven(context, request, { reason: 'node_unknown', proof });
  const { incarnation, sequence } = proof;
  if (incarnation === undefined || sequence === undefined)
    return refuseUnproven(context, request, { reason: 'sequence_missing', proof });
  const isCurrent = worker.tokenId === proof.tokenId && !worker.clone && incarnation === worker.incarnation;
  if (isCurrent && sequences.isReplay(worker, sequence))
    return refuseUnproven(context, request, { reason: 'sequence_replayed', proof });
  const claim = { proof, worker };
  if (!(await isSignedByWorker(context, claim))) return refuseWorkersKey(context, request, claim);
  const current = await stillRegistered(context, request, claim);
  if (sequences.isReplay(current, sequence))
    return refuseUnproven(context, request, { reason: 'sequence_replayed', proof });
  sequences.accept(current, sequence);
  context.headers.add(proof);
  spend(context, request, proof);
  usage.heard(current, {
    proof: request.proof ?? '',
    incarnation,
    sequence,
    address: request.address,
    peer: request.peer,
    requestId: request.requestId,
    path: request.target.path,
  });
  return { worker: current, sequence };
}

async function verifyHolder(context: VerifierContext, request: ProvenRequest): Promise<Holder> {
  const { registry, challenges, clock } = context;
  const proof = parseAndExamine(context, request);
  const worker = registry.worker(proof.nodeId);
  if (!worker) return refuseUnproven(context, request, { reason: 'node_unknown', proof });
  const stale = challenges.examine(proof.nonce, proof.nodeId, clock.monotonicMs());
  if (stale) return refuseUnproven(context, request, { reason: stale, proof });
  const claim = { proof, worker };
  if (!(await isSignedByWorker(context, claim))) return refuseWorkersKey(context, request, claim);
  if (proof.nonce === undefined || !challenges.use(proof.nonce, clock.monotonicMs()))
    return refuseUnproven(context, request, { reason: 'nonce_used', proof });
  const current = knownByToken(context, request, claim);
  spend(context, request, proof);
  return { worker: current, machine: proof.machine };
}

interface HeartbeatClaim {
  readonly proof: ParsedProof;
  readonly worker: Worker;
}

const isSignedByWorker = (context: VerifierContext, { proof, worker }: HeartbeatClaim): Promise<boolean> =>
  isSignedBy(proof, () => context.keys.get(worker.holderKey));

function refuseWorkersKey(
  context: VerifierContext,
  request: ProvenRequest,
  { proof, worker }: HeartbeatClaim,
): never {
  const reason = worker.tokenId === proof.tokenId ? 'signature_invalid' : 'token_mismatch';
  return refuseUnproven(context, request, { reason, proof });
}

/** The worker as it is after the signature was checked: the node may have registered anew meanwhile. */
function knownByToken(
  context: VerifierContext,
  request: ProvenRequest,
  { proof, worker }: HeartbeatClaim,
): Worker {
  const known = context.registry.worker(worker.nodeId);
  if (!known || known.holderKey !== worker.holderKey)
    return refuseUnproven(context, request, { reason: 'incarnation_mismatch', proof });
  if (known.tokenId !== proof.tokenId) return refuseSuperseded(context, request, { proof, worker: known });
  return known;
}

/**
 * Asked again after the signature was checked: the same proof may have arrived on another connection meanwhile, and the
 * node may have registered anew.
 */
function stillRegistered(
  context: VerifierContext,
  request: ProvenRequest,
  claim: HeartbeatClaim,
): Worker | Promise<Worker> {
  const { proof } = claim;
  const examined = context.clones.examineHeartbeat(knownByToken(context, request, claim), proof);
  // Without a clone there is nothing to wait for.
  if (!(examined instanceof Promise)) return expectCurrent(context, request, { proof, worker: examined });
  return examined.then((worker) => expectCurrent(context, request, { proof, worker }));
}

function expectCurrent(
  context: VerifierContext,
  request: ProvenRequest,
  { proof, worker }: HeartbeatClaim,
): Worker {
  if (worker.tokenId === proof.tokenId && worker.incarnation === proof.incarnation) return worker;
  return refuseSuperseded(context, request, { proof, worker });
}

function factOfReading(facts: ChainFacts, nodeId: string): StakeFact {
  const reason = examineStake(nodeId, facts);
  return reason ? { kind: 'bad', reason } : { kind: 'good' };
}

function factWithoutChain({ facts, registry }: VerifierContext, worker: Worker | undefined): StakeFact {
  if (!worker) return { kind: 'unknown', ageMs: Number.POSITIVE_INFINITY };
  const fact = facts.factOf(worker, registry.lastHeartbeat(worker.nodeId)?.goodAtMs);
  // The chain was just asked and did not answer: what memory calls good is not known to be good now.
  return fact.kind === 'good' ? { kind: 'unknown', ageMs: 0 } : fact;
}
