import { EXIT, type ExitCode } from '#base';

export interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** The same request, signed anew, may succeed later although nothing is changed. */
  readonly isRetryable: boolean;
  /** The exit code of a host that this problem stops. */
  readonly exitCode: ExitCode;
}

function kind(
  status: number,
  title: string,
  options: { isRetryable?: boolean; exitCode?: ExitCode } = {},
): ProblemKind {
  const { isRetryable = false, exitCode = isRetryable ? EXIT.joinDeadline : EXIT.configuration } = options;
  return { status, title, isRetryable, exitCode };
}

const lockedOut = { exitCode: EXIT.lockedOut };
const unexpected = { exitCode: EXIT.unexpected };
const later = { isRetryable: true };

/** Every problem the gateway's public API answers with; docs/api.md explains each (a test compares the two). */
export const PROBLEMS = {
  request_invalid: kind(400, 'The request is not what this route takes', unexpected),
  seal_token_invalid: kind(401, 'The Seal proof is not valid', unexpected),
  node_cloned: kind(409, 'Another machine uses the key of this node', lockedOut),
  node_in_use: kind(409, 'The Node runs on another machine', later),
  node_left: kind(409, 'The process that registers has left the cluster', lockedOut),
  registration_superseded: kind(409, 'The node has registered again since', unexpected),
  node_id_mismatch: kind(403, 'The Seal token is bound to another node id'),
  record_not_found: kind(403, 'The Seal token has no stake record in this cluster'),
  owner_mismatch: kind(403, 'The Seal token and its stake record have different owners'),
  not_a_node_stake: kind(403, 'The stake was not made for a node'),
  stake_slashed: kind(403, 'The stake was slashed', lockedOut),
  stake_not_active: kind(403, 'The stake is unbonding or withdrawn', lockedOut),
  token_revoked: kind(403, 'The Seal token was revoked', lockedOut),
  stake_short_after_slash: kind(403, 'A slash left the stake below the minimum of the cluster', lockedOut),
  token_superseded: kind(403, 'The stake record has a newer Seal token'),
  token_expired: kind(403, 'The Seal token has expired'),
  stake_too_low: kind(403, 'The stake is below the minimum of the cluster'),
  permission_missing: kind(403, 'The Seal token does not permit to run a node'),
  banned: kind(403, 'The node id, the node key or the staker is banned', lockedOut),
  locked: kind(403, 'The operator has locked registrations of this node', lockedOut),
  staker_not_admitted: kind(403, 'The operator does not admit this staker'),
  node_id_not_admitted: kind(403, 'The operator does not admit node ids of this form'),
  operator_refused: kind(403, 'The certificate of the operator does not permit this'),
  evidence_missing: kind(403, 'The operator admits only machines that prove what they run'),
  evidence_refused: kind(403, 'The evidence of the machine is refused', later),
  certificate_refused: kind(409, 'A certificate is not one of this node', unexpected),
  name_not_ours: kind(409, 'The name belongs to a node that was not admitted by a stake'),
  name_taken: kind(409, 'The name is still bound to another staker', later),
  name_claimed: kind(409, 'Somebody else may have a certificate of this name'),
  cluster_full: kind(409, 'The cluster has as many staked nodes as its operator admits', later),
  breaker_tripped: kind(503, 'Too many nodes went at once: the operator has to look', later),
  attestation_missing: kind(404, 'This gateway makes no evidence of what it runs'),
  attestation_unavailable: kind(503, 'The machine of the gateway makes no evidence now', later),
  proof_too_old: kind(503, 'One full node alone could hide what happened to this stake', later),
  chain_unavailable: kind(503, 'The facts on chain cannot be read now', later),
  cluster_unavailable: kind(503, 'The cluster cannot be reached now', later),
  storage_unavailable: kind(503, 'The gateway cannot write its state and audit file now', later),
  overloaded: kind(503, 'The gateway has too much to do', later),
  standing_by: kind(503, 'Another gateway of the cluster leads', later),
  stopping: kind(503, 'The gateway is stopping', later),
  rate_limited: kind(429, 'Too many requests', later),
  not_found: kind(404, 'There is nothing here', unexpected),
  method_not_allowed: kind(405, 'This route takes another method', unexpected),
  request_timeout: kind(408, 'The request took too long to arrive', later),
  body_too_large: kind(413, 'The body is too large', unexpected),
  media_type_unsupported: kind(415, 'Bodies are application/json', unexpected),
  expectation_failed: kind(417, 'The Expect header asks for what this gateway does not do', unexpected),
  internal: kind(500, 'The gateway failed', later),
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code);
}
