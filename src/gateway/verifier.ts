import type { Clock } from '#base';
import {
  createPublicKeys,
  examineHolder,
  examineStake,
  examineTarget,
  examineTimes,
  isSignedBy,
  type ParsedProof,
  type ProofTarget,
  parseProof,
  type VerdictReason,
} from '#seal';
import type { Applicant } from './admission-context.ts';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import type { Challenges } from './challenge.ts';
import type { StakeFact } from './decision.ts';
import type { FactCache } from './fact-cache.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import type { TokenUsage } from './token-usage.ts';
import type { Worker } from './worker.ts';

/** A request as far as the verdict needs it. */
export interface ProvenRequest {
  /** What the caller sent as his proof; two different ones are none. */
  readonly proof: string | undefined;
  readonly target: ProofTarget;
  /** The budget that the caller's chain look-ups are taken from. */
  readonly address: string;
  readonly requestId: string;
}

/** Who registers, as far as the proof says. */
type Registrant = Pick<Applicant, 'nodeId' | 'holderKey' | 'tokenId' | 'facts' | 'fact' | 'requestId'>;

/** Who sends a heartbeat; its sequence is taken. */
export interface Sender {
  readonly worker: Worker;
  readonly sequence: number;
}

/**
 * The verdicts of the public API. Each use of a token stands in the audit file, refusals as counts; the caller learns the
 * reason only once the signature holds against the key that the chain names.
 */
export interface Verifier {
  registration(request: ProvenRequest): Promise<Registrant>;
  heartbeat(request: ProvenRequest): Promise<Sender>;
}

export interface VerifierOptions {
  readonly facts: FactCache;
  readonly registry: Registry;
  readonly challenges: Challenges;
  readonly audit: Audit;
  readonly refusals: RefusalTally;
  readonly usage: TokenUsage;
  readonly clock: Clock;
  /** By the monotonic clock. Proofs from before are not believed: the memory of what was seen is not that old. */
  readonly startedAtMs: number;
  /** Chain look-ups that strangers of one address may cause, and those of all together. */
  readonly strangers: RateLimit;
  readonly allStrangers: RateLimit;
  readonly tokens: RateLimit;
}

/** Imported keys kept; one takes 1.3 KiB. */
const mostKeys = 20_000;

export function createVerifier(options: VerifierOptions): Verifier {
  const { facts, registry, challenges, audit, refusals, usage } = options;
  const { clock, startedAtMs, strangers, allStrangers, tokens } = options;

  /**
   * The highest sequence of each node's incarnation that was accepted; before the first, what the store remembers. A name
   * that was released counts its incarnations from one again: the time of the registration tells them apart.
   */
  const taken = new Map<
    string,
    { readonly incarnation: number; readonly registeredAtMs: number; readonly sequence: number }
  >();

  function isReplay({ nodeId, incarnation, registeredAtMs }: Worker, sequence: number): boolean {
    const last = taken.get(nodeId);
    const known = last?.registeredAtMs === registeredAtMs ? last : registry.lastHeartbeat(nodeId);
    return known?.incarnation === incarnation && sequence <= known.sequence;
  }

  /** Of workers alone: a stranger presents as many keys as it likes. */
  const keys = createPublicKeys(mostKeys);

  /** When this gateway started, by the time of day as it is told now: it may have been set since. */
  function startedAtMsOfDay(): number {
    return clock.nowMs() - (clock.monotonicMs() - startedAtMs);
  }

  /** Form, times and target: what needs neither memory nor cryptography. */
  function examine(request: ProvenRequest): ParsedProof {
    const outcome = parseProof(request.proof);
    if (!outcome.ok) return refuse(request, outcome.reason);
    const { proof } = outcome;
    const reason =
      examineTimes(proof, { nowMs: clock.nowMs(), startedAtMs: startedAtMsOfDay() }) ??
      examineTarget(proof, request.target);
    return reason ? refuse(request, reason, proof) : proof;
  }

  /** `provenNodeId`: only of a caller whose signature holds, or strangers could make as many kinds as they like. */
  function noteRefusal(
    { requestId, address, target }: ProvenRequest,
    reason: VerdictReason | 'rate_limited' | 'chain_unavailable' | 'registration_superseded',
    proof?: ParsedProof,
    provenNodeId?: string,
  ): void {
    refusals.count(
      'token.refused',
      {
        reason,
        path: target.path,
        address,
        ...(provenNodeId !== undefined && { nodeId: provenNodeId }),
      },
      {
        request_id: requestId,
        path: target.path,
        address,
        node_id: proof?.nodeId,
        seal_token: proof?.tokenId,
      },
    );
  }

  /** The one answer to whoever has not proven anything. */
  function refuse(request: ProvenRequest, reason: VerdictReason, proof?: ParsedProof): never {
    noteRefusal(request, reason, proof);
    throw new ApiProblem(
      'seal_token_invalid',
      "the Seal proof is not valid; the gateway's log names the reason under this request id",
      { reason },
    );
  }

  /** The answer to the node's own key, used for a registration that another one has followed. */
  function refuseSuperseded(
    request: ProvenRequest,
    proof: ParsedProof,
    { nodeId, incarnation, registeredAtMs }: Worker,
  ): never {
    usage.heardSuperseded(nodeId, request.address);
    noteRefusal(request, 'registration_superseded', proof, nodeId);
    throw new ApiProblem(
      'registration_superseded',
      `registration ${proof.incarnation ?? 'none'} of node ${nodeId} is over: its key has registered again since (registration ${incarnation}, ${new Date(registeredAtMs).toISOString()}). Register again; if this goes on, another machine uses the same node key`,
    );
  }

  /** One use of a token from its budget. */
  function spend(request: ProvenRequest, proof: ParsedProof): void {
    const waitMs = tokens.take(proof.tokenId, clock.monotonicMs());
    if (waitMs === 0) return;
    noteRefusal(request, 'rate_limited', proof, proof.nodeId);
    throw new ApiProblem('rate_limited', 'this Seal token is used too often', { retryAfterMs: waitMs });
  }

  return {
    async registration(request) {
      const proof = examine(request);
      const { nodeId, tokenId, nonce, presentedKey } = proof;
      const stale = challenges.examine(nonce, nodeId, clock.monotonicMs());
      if (stale) return refuse(request, stale, proof);
      if (presentedKey === undefined) return refuse(request, 'key_missing', proof);
      if (!(await isSignedBy(proof, presentedKey))) return refuse(request, 'signature_invalid', proof);
      // Only now is it used up, and by exactly one of those who show it at the same time.
      if (nonce === undefined || !challenges.use(nonce, clock.monotonicMs()))
        return refuse(request, 'nonce_used', proof);

      const holderKey = Buffer.from(presentedKey).toString('base64url');
      const worker = registry.worker(nodeId);
      const isKnown = worker?.tokenId === tokenId && worker.holderKey === holderKey;
      if (!isKnown && !facts.knows(tokenId)) {
        const nowMs = clock.monotonicMs();
        // Its own budget first: an address that has spent it takes nothing of what all share.
        const waitMs = strangers.take(request.address, nowMs) || allStrangers.take('', nowMs);
        if (waitMs > 0) {
          noteRefusal(request, 'rate_limited', proof);
          throw new ApiProblem('rate_limited', 'too many tokens that this gateway does not know', {
            retryAfterMs: waitMs,
          });
        }
      }
      let known: Awaited<ReturnType<FactCache['read']>> | undefined;
      try {
        known = await facts.read(tokenId, nodeId);
      } catch (cause) {
        if (!isKnown) {
          noteRefusal(request, 'chain_unavailable', proof);
          throw new ApiProblem('chain_unavailable', 'the facts on chain cannot be read now', {
            cause,
            retryAfterMs: 3_000,
          });
        }
      }
      const impostor = known && examineHolder(known, presentedKey);
      if (impostor) return refuse(request, impostor, proof);
      const fact = known ? judged(examineStake(nodeId, known)) : factWithoutChain(worker, facts, registry);
      spend(request, proof);
      await audit.note('token.used', {
        request_id: request.requestId,
        path: request.target.path,
        address: request.address,
        node_id: nodeId,
        seal_token: tokenId,
        verdict: fact.kind === 'bad' ? fact.reason : fact.kind,
      });
      return { nodeId, holderKey, tokenId, facts: known, fact, requestId: request.requestId };
    },

    async heartbeat(request) {
      const proof = examine(request);
      const worker = registry.worker(proof.nodeId);
      if (!worker) return refuse(request, 'node_unknown', proof);
      const { incarnation, sequence } = proof;
      if (incarnation === undefined || sequence === undefined)
        return refuse(request, 'sequence_missing', proof);
      const isCurrent = worker.tokenId === proof.tokenId && incarnation === worker.incarnation;
      if (isCurrent && isReplay(worker, sequence)) return refuse(request, 'sequence_replayed', proof);
      if (!(await isSignedBy(proof, () => keys.get(worker.holderKey))))
        return refuse(
          request,
          worker.tokenId === proof.tokenId ? 'signature_invalid' : 'token_mismatch',
          proof,
        );
      // Asked again: while the signature was checked, the same proof may have come in by another connection, and the
      // node may have registered anew.
      const current = registry.worker(worker.nodeId);
      if (!current || current.holderKey !== worker.holderKey)
        return refuse(request, 'incarnation_mismatch', proof);
      if (current.tokenId !== proof.tokenId || current.incarnation !== incarnation)
        return refuseSuperseded(request, proof, current);
      if (isReplay(current, sequence)) return refuse(request, 'sequence_replayed', proof);
      taken.set(worker.nodeId, { incarnation, registeredAtMs: worker.registeredAtMs, sequence });
      spend(request, proof);
      usage.heard(current, {
        proof: request.proof ?? '',
        incarnation,
        sequence,
        address: request.address,
        requestId: request.requestId,
        path: request.target.path,
      });
      return { worker: current, sequence };
    },
  };
}

function judged(reason: ReturnType<typeof examineStake>): StakeFact {
  return reason ? { kind: 'bad', reason } : { kind: 'good' };
}

function factWithoutChain(worker: Worker | undefined, facts: FactCache, registry: Registry): StakeFact {
  if (!worker) return { kind: 'unknown', ageMs: Number.POSITIVE_INFINITY };
  const fact = facts.factOf(worker, registry.lastHeartbeat(worker.nodeId)?.goodAtMs);
  // The chain was just asked and did not answer: what memory calls good is not known to be good now.
  return fact.kind === 'good' ? { kind: 'unknown', ageMs: 0 } : fact;
}
