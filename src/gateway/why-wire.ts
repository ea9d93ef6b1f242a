import { z } from 'zod';
import { BanEntry, ClaimEntry, NodeEntry } from './operator-wire.ts';

/** `GET /v1/why/<node id>` on the operator's socket: the whole chain of reasons about one name. */
export const WhyReply = z.object({
  timestamp: z.number(),
  node_id: z.string(),
  /** Where it stands, in one sentence. */
  summary: z.string(),
  /** Its state here; null: this gateway has never admitted the name. */
  worker: NodeEntry.nullable(),
  facts: z.object({
    /** good, unknown, none (no stake holds the name), or the named reason. */
    kind: z.string(),
    /** Validators have signed it, and it is the staker's or the slashers' act. */
    certain: z.boolean(),
    /** Since it was read or confirmed. */
    age_ms: z.number().nullable(),
    /** Since the chain was last heard. */
    heard_ms: z.number().nullable(),
    /** The record that holds the name on chain now; null: none, or it could not be read (`live_record_error`). */
    live_record: z.string().nullable(),
    live_record_error: z.string().nullable(),
  }),
  token: z
    .object({ id: z.string(), sequence: z.string(), expires_at_epoch: z.string(), tier: z.string() })
    .nullable(),
  credential: z.object({ id: z.string(), expires_at: z.number() }).nullable(),
  bans: z.array(BanEntry),
  policy: z.object({
    /** The name's entry in the policies: a tier, untainted, ordinary, expected, reserved; null: none. */
    listing: z.string().nullable(),
    /** false: the API server did not answer. */
    read: z.boolean(),
  }),
  /** Somebody has claimed the name; null: not that this gateway knows. */
  claim: ClaimEntry.nullable(),
  /** Whose password reserves the name: `ours`, `foreign` (a claim, or an ordinary agent's), `none`, `unread`. */
  password: z.string(),
  /** The certificates that the stake vouches for; null: this gateway keeps none. */
  vouches: z
    .array(z.object({ identity: z.string(), fingerprint: z.string(), not_after: z.number() }))
    .nullable(),
  node: z
    .object({
      uid: z.string(),
      ready: z.boolean(),
      stake_record: z.string().nullable(),
      held_for: z.string().nullable(),
      created_at: z.number(),
    })
    .nullable(),
  /** Why its evidence does not count; null: it does, or none is asked for. */
  evidence: z
    .object({
      problem: z.string(),
      /** The names of the checks, as docs/attestation.md lists them. */
      checks: z.array(z.string()),
      /** Good evidence is a condition of admission. */
      keeps_out: z.boolean(),
    })
    .nullable()
    .default(null),
  /** The newest first. */
  decisions: z.array(
    z.object({
      at: z.string(),
      event: z.string(),
      facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    }),
  ),
  /** What is missing, in the order in which a registration meets it; empty: nothing. */
  lets_it_in: z.array(
    z.object({
      by: z.enum(['operator', 'staker', 'gateway']),
      what: z.string(),
      command: z.string().nullable(),
    }),
  ),
});
export type WhyReply = z.infer<typeof WhyReply>;
