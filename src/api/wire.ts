import { z } from 'zod';
import { isNodeId } from '#domain';
import { isNodePasswordHash, LONGEST_PROOF, ObjectId } from '#seal';

/**
 * The messages between worker and gateway (docs/api.md): JSON, snake_case. Times are milliseconds since the epoch,
 * amounts are decimal strings of MIST. Requests are parsed strictly: an unknown member is an error. Replies are read
 * leniently, so that a worker goes on with a gateway that is newer than itself.
 */
export const PATHS = {
  challenge: '/api/v1/challenge',
  register: '/api/v1/register-worker',
  heartbeat: '/api/v1/nodes/heartbeat',
  certificates: '/api/v1/nodes/certificates',
  leave: '/api/v1/nodes/leave',
  /** Server-sent events: the record of this node changed. */
  events: '/api/v1/nodes/events',
  /** Where anybody may bring a proof of what happened on chain: `k3s-daas proof show` writes one. */
  chainProof: '/api/v1/chain-proof',
  /** What the gateway runs, by evidence of its machine. */
  attestation: '/api/v1/attestation',
} as const;

/** Bodies beyond this are refused with 413 before they are read. */
export const BODY_LIMIT_BYTES = 64 * 1024;
export const PROBLEM_TYPE = 'application/problem+json';

const NodeIdText = z
  .string()
  .refine(isNodeId, 'must be one lower-case DNS label of at most 63 characters')
  .meta({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' });
const TimeMs = z.number().int().nonnegative().max(8_640_000_000_000_000);
const Mist = z.string().regex(/^(0|[1-9][0-9]{0,19})$/, 'must be a decimal string of MIST');
const Percent = z.number().min(0).max(100);
/** The seed's clients repeat the header in the body. It must then be equal. */
const SealTokenText = z.string().max(LONGEST_PROOF);

export const ChallengeQuery = z.strictObject({ node_id: NodeIdText, staker: ObjectId });
export type ChallengeQuery = z.infer<typeof ChallengeQuery>;

export const ChallengeReply = z.object({
  nonce: z.string().min(1).max(256),
  gateway_id: z.string().min(1).max(128),
  timestamp: TimeMs,
  expires_at: TimeMs,
  /** Whether (node id, staker) would be admitted as things stand. */
  admissible: z.boolean(),
  /** A problem code, when not. */
  reason: z.string().nullable(),
  /** Claims that this gateway reads beyond those that every gateway does: others reject what they do not know. */
  proof_claims: z.array(z.string()).optional(),
  /** This gateway takes `kubelet` in a registration: others reject what they do not know. */
  kubelet_proof: z.boolean().optional(),
  /** This gateway takes `evidence` in a registration, or admits nothing without it: others reject what they do not know. */
  worker_evidence: z.enum(['taken', 'required']).optional(),
});
export type ChallengeReply = z.infer<typeof ChallengeReply>;

/** What a worker reports about its machine, for the operator. Nothing is decided on it. */
const HostFacts = z
  .record(z.string().min(1).max(64), z.union([z.string().max(256), z.number()]))
  .refine((facts) => Object.keys(facts).length <= 32, 'must have at most 32 members');

/** PEM; k3s writes a certificate and the authorities above it. */
const CertificatePem = z.string().min(1).max(16_384);

/** Who else than a thief of the node key has this: the client key of the node's kubelet has signed the challenge. */
const KubeletProof = z.strictObject({
  certificate: CertificatePem,
  signature: z.string().regex(/^[A-Za-z0-9_-]{1,1024}$/, 'must be base64url'),
});

/** An evidence file of this project (docs/attestation.md). */
const EvidenceFile = z.record(z.string(), z.unknown());

export const RegisterBody = z.strictObject({
  node_id: NodeIdText,
  timestamp: TimeMs,
  seal_token: SealTokenText.optional(),
  node_password_hash: z
    .string()
    .refine(isNodePasswordHash, "must have the form of k3s' node password hash, `$1:<salt>:15:8:1:<key>`"),
  host: HostFacts,
  kubelet: KubeletProof.optional(),
  /** Of the machine, bound to node key, node id, gateway, chain and nonce. */
  evidence: EvidenceFile.optional(),
});
export type RegisterBody = z.infer<typeof RegisterBody>;

/** It goes into the command line of the agent, where every user of the machine could read a password. */
const ServerUrl = z.url().refine((url) => !/\/\/[^/]*@/.test(url), 'must have no user or password');

export const RegisterReply = z.object({
  status: z.literal('registered'),
  node_id: NodeIdText,
  timestamp: TimeMs,
  message: z.string(),
  incarnation: z.number().int().positive(),
  /** What the gateway's log and audit file know it by; an older gateway does not say. */
  request_id: z.string().max(64).optional(),
  /** null: the API server hears the Node's kubelet, the agent goes on with the certificates it has. */
  join: z.object({ server: ServerUrl, token: z.string().min(1), expires_at: TimeMs }).nullable(),
  heartbeat: z.object({ interval_ms: z.number().int().positive() }),
  node_labels: z.record(z.string(), z.string()),
  /** `key=value:Effect` each. */
  taints: z.array(z.string()),
  /** What the evidence of the machine was judged to be, where some is asked for: its kind, or `none` and why. */
  evidence: z.object({ kind: z.string(), problem: z.string().nullable() }).optional(),
});
export type RegisterReply = z.infer<typeof RegisterReply>;

const AgentStateName = z.enum(['idle', 'starting', 'ready', 'waiting', 'stopping', 'stopped']);

export const HeartbeatBody = z.strictObject({
  node_id: NodeIdText,
  timestamp: TimeMs,
  seal_token: SealTokenText.optional(),
  stake_status: z.string().max(32),
  stake_amount: Mist,
  agent_state: AgentStateName,
  /** null: unknown to the worker. */
  running_pods: z.number().int().nonnegative().max(100_000).nullable(),
  resource_usage: z.strictObject({ cpu_percent: Percent, memory_percent: Percent, disk_percent: Percent }),
});
export type HeartbeatBody = z.infer<typeof HeartbeatBody>;

export const HeartbeatReply = z.object({
  status: z.literal('acknowledged'),
  timestamp: TimeMs,
  message: z.string(),
  directives: z.array(z.object({ kind: z.string().max(64), reason: z.string().max(256) })).max(16),
});
export type HeartbeatReply = z.infer<typeof HeartbeatReply>;

export const CertificatesBody = z.strictObject({
  node_id: NodeIdText,
  timestamp: TimeMs,
  seal_token: SealTokenText.optional(),
  /** Of the kubelet, kube-proxy and the k3s controller, as they are on disk now: the whole set. */
  certificates: z.array(CertificatePem).min(1).max(3),
});
export type CertificatesBody = z.infer<typeof CertificatesBody>;

export const CertificatesReply = z.object({
  status: z.literal('vouched'),
  node_id: NodeIdText,
  timestamp: TimeMs,
  /** `kubelet`, `kube-proxy`, `k3s-controller`: those that count from now on. */
  identities: z.array(z.string()),
  /** The cluster knows them. false: it could not be reached, and is told as soon as it can be. */
  in_force: z.boolean(),
});
export type CertificatesReply = z.infer<typeof CertificatesReply>;

export const LeaveBody = z.strictObject({
  node_id: NodeIdText,
  timestamp: TimeMs,
  seal_token: SealTokenText.optional(),
});
export type LeaveBody = z.infer<typeof LeaveBody>;

export const LeaveReply = z.object({
  /** `leaving`: its pods, its Node and its name are being removed. `left`: all of that is done. */
  status: z.enum(['leaving', 'left']),
  node_id: NodeIdText,
  timestamp: TimeMs,
});
export type LeaveReply = z.infer<typeof LeaveReply>;

export const AttestationQuery = z.strictObject({
  /** Of the asker, fresh: 32 bytes. */
  nonce: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be 32 bytes in base64url'),
});
export type AttestationQuery = z.infer<typeof AttestationQuery>;

export const AttestationReply = z.object({
  gateway_id: z.string().min(1).max(128),
  chain_id: z.string().min(1).max(128),
  timestamp: TimeMs,
  /** An evidence file of this project (docs/attestation.md), bound to TLS key, gateway, chain and nonce. */
  evidence: EvidenceFile,
});
export type AttestationReply = z.infer<typeof AttestationReply>;

export const ChainProofReply = z.object({
  /** `accepted`: it proved something new. */
  status: z.enum(['accepted', 'known']),
  timestamp: TimeMs,
  /** What it proved news of. */
  objects: z.array(z.string()),
});
export type ChainProofReply = z.infer<typeof ChainProofReply>;

/** RFC 9457, with additional members. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  /** The stable name of what is wrong: docs/api.md. */
  code: z.string().regex(/^[a-z0-9_]{1,64}$/),
  /** Finds the audit line and the log record. */
  request_id: z.string().max(64),
  /** The gateway's clock. */
  timestamp: TimeMs,
});
export type Problem = z.infer<typeof Problem>;
