import type { ParsedProof, ProofTarget, VerdictReason } from '#seal';
import { ApiProblem } from './api-problem.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { TokenUsage } from './token-usage.ts';
import type { Worker } from './worker.ts';

/** A request as far as the verdict needs it. */
export interface ProvenRequest {
  /** The proof that the caller sent; two different ones count as none. */
  readonly proof: string | undefined;
  readonly target: ProofTarget;
  /** The budget that the caller's chain look-ups are taken from: an IPv6 network of a machine counts as one address. */
  readonly address: string;
  /** The address itself, as the kernel has it; `undefined` where the connection has gone. */
  readonly peer: string | undefined;
  readonly requestId: string;
}

interface RefusalContext {
  readonly refusals: RefusalTally;
  readonly usage: TokenUsage;
}

interface CountedRefusal {
  readonly reason: VerdictReason | 'rate_limited' | 'chain_unavailable' | 'registration_superseded';
  /** What the proof claims, as far as it could be parsed. */
  readonly proof?: ParsedProof | undefined;
  /** Only of a caller whose signature holds: strangers could make as many kinds of refusals as they like. */
  readonly provenNodeId?: string;
}

export function countRefusal(
  { refusals }: RefusalContext,
  { requestId, address, target: { path } }: ProvenRequest,
  { reason, proof, provenNodeId }: CountedRefusal,
): void {
  refusals.count(
    'token.refused',
    { reason, path, address, ...(provenNodeId !== undefined && { nodeId: provenNodeId }) },
    { request_id: requestId, path, address, node_id: proof?.nodeId, seal_token: proof?.tokenId },
  );
}

/** The one answer to a caller that has not proven anything. */
export function refuseUnproven(
  context: RefusalContext,
  request: ProvenRequest,
  { reason, proof }: { readonly reason: VerdictReason; readonly proof?: ParsedProof },
): never {
  countRefusal(context, request, { reason, proof });
  throw new ApiProblem(
    'seal_token_invalid',
    "the Seal proof is not valid; the gateway's log names the reason under this request id",
    { reason },
  );
}

/** The answer to the node's own key, used for a registration that another one has followed. */
export function refuseSuperseded(
  context: RefusalContext,
  request: ProvenRequest,
  { proof, worker }: { readonly proof: ParsedProof; readonly worker: Worker },
): never {
  const { nodeId, incarnation, registeredAtMs } = worker;
  context.usage.heardSuperseded(nodeId, request);
  countRefusal(context, request, { reason: 'registration_superseded', proof, provenNodeId: nodeId });
  throw new ApiProblem(
    'registration_superseded',
    `registration ${proof.incarnation ?? 'none'} of node ${nodeId} is over: its key has registered again since (registration ${incarnation}, ${new Date(registeredAtMs).toISOString()}). Register again; if this goes on, another machine uses the same node key`,
  );
}
