import { z } from 'zod';
import { isNodeId } from '#domain';
import { ObjectId } from '#seal';
import { BAN_SUBJECTS } from './bans.ts';

/** The messages on the operator's Unix socket (docs/api.md): HTTP, JSON, snake_case. */
export const OPERATOR_PATHS = {
  nodes: '/v1/nodes',
  /** Followed by the node id. */
  why: '/v1/why/',
  evict: '/v1/evict',
  ban: '/v1/ban',
  unban: '/v1/unban',
  bans: '/v1/bans',
  release: '/v1/release',
  unlock: '/v1/unlock',
  breaker: '/v1/breaker',
} as const;

const NodeIdText = z.string().refine(isNodeId, 'must be a node id');
const Reason = z.string().min(1).max(256);

/** `dry_run`: reports what would be done and changes nothing. */
export const NodeCommand = z.strictObject({ node_id: NodeIdText, dry_run: z.boolean().default(false) });
export const EvictCommand = z.strictObject({
  node_id: NodeIdText,
  /** Registrations of this node wait for `unlock`. */
  lock: z.boolean().default(false),
  dry_run: z.boolean().default(false),
});

const BanTarget = z
  .strictObject({ subject: z.enum(BAN_SUBJECTS), value: z.string() })
  .refine(isTarget, 'must be a node id, a node key (base64url, 32 bytes) or a Sui address');
export const BanCommand = z.strictObject({
  target: BanTarget,
  reason: Reason,
  dry_run: z.boolean().default(false),
});
export const UnbanCommand = z.strictObject({ target: BanTarget, dry_run: z.boolean().default(false) });
export const BreakerCommand = z.strictObject({ reset: z.literal(true), dry_run: z.boolean().default(false) });

export const NodeEntry = z.object({
  node_id: z.string(),
  status: z.string(),
  reason: z.string().nullable(),
  since: z.number(),
  tier: z.string(),
  staker: z.string(),
  stake_record: z.string(),
  seal_token: z.string(),
  holder_key: z.string(),
  incarnation: z.number(),
  /** good, unknown, or the named reason. */
  fact: z.string(),
  held_for: z.string().nullable(),
  locked: z.boolean(),
  /** Since when two machines are known to use its key; registrations are frozen. A gateway of an earlier version does not say it. */
  cloned_since: z.number().nullable().default(null),
  banned: z.boolean(),
  node: z.object({ uid: z.string(), ready: z.boolean() }).nullable(),
  last_heartbeat: z.number().nullable(),
  agent_state: z.string().nullable(),
  running_pods: z.number().nullable(),
  /** What the host reports about its machine. */
  host: z.record(z.string(), z.union([z.string(), z.number()])),
  /** The stake record as last read on chain; null: not read since the gateway started. */
  stake: z
    .object({
      status: z.string(),
      stake_mist: z.string(),
      slashed_mist: z.string(),
      slash_reason: z.string(),
    })
    .nullable(),
  /** The uses of its key within the last hour. */
  use: z.object({
    registrations: z.number(),
    first_registration: z.number().nullable(),
    addresses: z.array(z.string()),
    /** When its key was last used for a registration that another one has followed. */
    superseded_use: z.number().nullable(),
  }),
  /** What its machine has shown at its last registration; null: it was asked for nothing. */
  attestation: z
    .object({
      /** Of the evidence that was accepted, or `none`. */
      kind: z.string(),
      measurement: z.string().nullable(),
      covers: z.string().nullable(),
      /** Why what was shown does not count. */
      problem: z.string().nullable(),
      /** The TPM key that the stake record is bound to. */
      bound_key: z.string().nullable(),
      judged_at: z.number(),
    })
    .nullable()
    .default(null),
});
export type NodeEntry = z.infer<typeof NodeEntry>;

/** A name that somebody with a join credential has claimed at the k3s server. */
export const ClaimEntry = z.object({
  node_id: z.string(),
  at: z.number(),
  /** The join credentials that were alive: `<id> of <node id>`. */
  credentials: z.array(z.string()),
  /** How many lived beside these. */
  other_credentials: z.number().int().nonnegative().default(0),
  /** closed, contested (a live stake holds the name), noted (certificates are vouched for), over. */
  effect: z.string(),
  /** When the claim's certificate ends at the latest. */
  until: z.number(),
});
export type ClaimEntry = z.infer<typeof ClaimEntry>;

/** One full node of the pool, as `/readyz` shows it too. */
export const EndpointFigures = z.object({
  url: z.string(),
  state: z.string(),
  lag_ms: z.number(),
  latency_p95_ms: z.number().nullable(),
  calls: z.number(),
  failures: z.number(),
  contradiction: z.string().nullable(),
});
/** How new what is proven of the chain is. */
export const ChainProofFigures = z.object({
  cluster_version: z.string().nullable(),
  /** The chain's time of the newest proven change, ms since the epoch. */
  proven_at: z.number().nullable(),
  age_ms: z.number().nullable(),
  /** How many endpoints show nothing newer. */
  endpoints_agreed: z.number(),
});
/** How the paid probes stand. */
export const ChainProbeFigures = z.object({
  mode: z.string(),
  every_ms: z.number().nullable(),
  /** The chain's time of the last one, ms since the epoch. */
  seen_at: z.number().nullable(),
  age_ms: z.number().nullable(),
  cost_mist: z.string().nullable(),
  sent_today: z.number(),
  spent_today_mist: z.string(),
  balance_mist: z.string().nullable(),
  gas_low: z.boolean(),
  /** Objects of which it has seen a version that no full node shows. */
  hidden: z.array(z.string()),
  failure: z.string().nullable(),
  /** The end of the audit file that they carry; null: they carry none, or this gateway does not lead. */
  anchor: z
    .object({
      mode: z.string(),
      /** Since the newest, or since the gateway began without any. */
      age_ms: z.number(),
      sequence: z.number().nullable(),
      hash: z.string().nullable(),
      transaction: z.string().nullable(),
    })
    .nullable()
    .default(null),
});
export const NodesReply = z.object({
  timestamp: z.number(),
  /** What the chain names of this gateway; null: the chain was not read yet, or does not name it. */
  gateway: z
    .object({
      id: z.string(),
      tier: z.string(),
      /** The kind of evidence that it shows to workers, or `none`. */
      attestation_kind: z.string(),
    })
    .nullable()
    .default(null),
  nodes: z.array(NodeEntry),
  /** The newest hundred. */
  claims: z.array(ClaimEntry).default([]),
  claims_count: z.number().default(0),
  chain_endpoints: z.array(EndpointFigures).default([]),
  chain_proof: ChainProofFigures.nullable().default(null),
  chain_probe: ChainProbeFigures.nullable().default(null),
});
export const BanEntry = z.object({
  subject: z.enum(BAN_SUBJECTS),
  value: z.string(),
  reason: z.string(),
  since: z.number(),
  stake_record: z.string().nullable(),
});
export type BanEntry = z.infer<typeof BanEntry>;
export const BansReply = z.object({ timestamp: z.number(), bans: z.array(BanEntry) });
export const BreakerReply = z.object({
  timestamp: z.number(),
  tripped_at: z.number().nullable(),
  /** Of how many stakers nodes may be evicted within the window; one more trips the breaker. */
  limit: z.number(),
  /** Of how many stakers nodes were evicted within the window: each counts once. */
  counted: z.number(),
  window_ms: z.number(),
  /** The evictions within the window. */
  removals: z.array(z.object({ node_id: z.string(), staker: z.string().nullable(), at: z.number() })),
  held: z.array(z.string()),
});
/** What a command did, or with `dry_run` would do, one sentence each. */
export const CommandReply = z.object({
  done: z.boolean(),
  actions: z.array(z.string()),
  /** For example a decision that could not be written yet. */
  warnings: z.array(z.string()).default([]),
});
export type CommandReply = z.infer<typeof CommandReply>;

function isTarget({ subject, value }: { subject: (typeof BAN_SUBJECTS)[number]; value: string }): boolean {
  switch (subject) {
    case 'node_id':
      return isNodeId(value);
    case 'node_key':
      return /^[A-Za-z0-9_-]{43}$/.test(value);
    case 'staker':
      return ObjectId.safeParse(value).success;
    default:
      return subject satisfies never;
  }
}
