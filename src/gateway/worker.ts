import { z } from 'zod';
import { ConfigurationError } from '#base';
import type { EvictionReason } from './decision.ts';

/**
 * Where a worker is between its first admission and its end. Each is written before the step it names is begun, so that
 * after a crash the next start knows what may have been done.
 */
export type WorkerStatus =
  /** The steps of an admission are being taken. A crash here is rolled back. */
  | { readonly kind: 'admitting' }
  /** The name is admitted and a credential is out; the Node has not appeared. */
  | { readonly kind: 'joining'; readonly reservedAtMs: number; readonly credential: IssuedCredential }
  /** The Node is there. `credential`: for a worker that came back while its Node was. */
  | { readonly kind: 'member'; readonly credential: IssuedCredential | undefined }
  /** No longer admitted, without guilt: its Node was deleted, or it never came. It may register again. */
  | { readonly kind: 'lapsed'; readonly reason: LapseReason }
  | { readonly kind: 'evicting'; readonly reason: EvictionReason }
  | { readonly kind: 'evicted'; readonly reason: EvictionReason };

export type LapseReason = 'node_deleted' | 'join_expired' | 'admission_interrupted' | 'admission_failed';

export interface IssuedCredential {
  /** Public: six characters, part of the Secret's name. */
  readonly id: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** The Node that was there when it was issued. */
  readonly nodeUid: string | undefined;
}

/** What the gateway has decided about a node id; the binding of the name to its staker. */
export interface Worker {
  readonly nodeId: string;
  readonly recordId: string;
  readonly tokenId: string;
  readonly tokenSequence: bigint;
  readonly staker: string;
  /** Ed25519 public key, base64url. */
  readonly holderKey: string;
  /** As the list of admitted names has it: the tier whose taint the Node must carry, or `untainted`. */
  readonly tier: string;
  readonly incarnation: number;
  readonly registeredAtMs: number;
  readonly status: WorkerStatus;
  readonly statusSinceMs: number;
  /** Registrations wait for the operator's `unlock`. */
  readonly lockedAtMs: number | undefined;
  /** Set while the breaker keeps an eviction from happening. */
  readonly heldFor: EvictionReason | undefined;
  readonly host: Readonly<Record<string, string | number>>;
}

/** What its heartbeats say; kept in memory and written down now and then. */
export interface Presence {
  /** Of the incarnation that sent it. */
  readonly incarnation: number;
  readonly sequence: number;
  readonly lastHeartbeatMs: number;
  readonly agentState: string;
  readonly stakeStatus: string;
  readonly stakeAmount: string;
  readonly runningPods: number | null;
  readonly resourceUsage: {
    readonly cpuPercent: number;
    readonly memoryPercent: number;
    readonly diskPercent: number;
  };
  /** When its stake was last known to be good. */
  readonly goodAtMs: number;
}

/** Whether a Node of this name may exist. */
export function isAdmitted(worker: Worker): boolean {
  return worker.status.kind === 'joining' || worker.status.kind === 'member';
}

/** Whether it was a worker, and nothing of it is under way. */
export function hasLeft(worker: Worker): boolean {
  return worker.status.kind === 'evicted' || worker.status.kind === 'lapsed';
}

export function credentialOf(worker: Worker): IssuedCredential | undefined {
  return worker.status.kind === 'joining' || worker.status.kind === 'member'
    ? worker.status.credential
    : undefined;
}

export const workerKey = (nodeId: string) => `/workers/${nodeId}`;

const millis = z.number().int().nonnegative();
const evictionReasons = [
  'slashed',
  'unbonding',
  'withdrawn',
  'token_revoked',
  'evicted',
  'banned',
  'not_admitted',
] as const satisfies readonly EvictionReason[];
const Eviction = z.enum(evictionReasons);
const Credential = z.strictObject({
  id: z.string(),
  issued_at: millis,
  expires_at: millis,
  node_uid: z.string().nullable(),
});
const Status = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('admitting') }),
  z.strictObject({ kind: z.literal('joining'), reserved_at: millis, credential: Credential }),
  z.strictObject({ kind: z.literal('member'), credential: Credential.nullable() }),
  z.strictObject({
    kind: z.literal('lapsed'),
    reason: z.enum(['node_deleted', 'join_expired', 'admission_interrupted', 'admission_failed']),
  }),
  z.strictObject({ kind: z.literal('evicting'), reason: Eviction }),
  z.strictObject({ kind: z.literal('evicted'), reason: Eviction }),
]);

/** As it is stored under `/workers/<node_id>`: the seed's members, and ours. */
const StoredWorker = z.strictObject({
  node_id: z.string(),
  stake_record: z.string(),
  seal_token: z.string(),
  token_sequence: z.string().regex(/^\d+$/),
  staker: z.string(),
  holder_key: z.string(),
  tier: z.string(),
  incarnation: z.number().int().nonnegative(),
  registered_at: millis,
  status: Status,
  status_since: millis,
  locked_at: millis.nullable(),
  held_for: Eviction.nullable(),
  host: z.record(z.string(), z.union([z.string(), z.number()])),
  heartbeat: z
    .strictObject({
      incarnation: z.number().int().nonnegative(),
      sequence: z.number().int().nonnegative(),
      last_heartbeat: millis,
      agent_state: z.string(),
      stake_status: z.string(),
      stake_amount: z.string(),
      running_pods: z.number().nullable(),
      resource_usage: z.strictObject({
        cpu_percent: z.number(),
        memory_percent: z.number(),
        disk_percent: z.number(),
      }),
      good_at: millis,
    })
    .nullable(),
});
type StoredWorker = z.infer<typeof StoredWorker>;

export function toStored(worker: Worker, presence: Presence | undefined): StoredWorker {
  return {
    node_id: worker.nodeId,
    stake_record: worker.recordId,
    seal_token: worker.tokenId,
    token_sequence: worker.tokenSequence.toString(),
    staker: worker.staker,
    holder_key: worker.holderKey,
    tier: worker.tier,
    incarnation: worker.incarnation,
    registered_at: worker.registeredAtMs,
    status: storedStatus(worker.status),
    status_since: worker.statusSinceMs,
    locked_at: worker.lockedAtMs ?? null,
    held_for: worker.heldFor ?? null,
    host: { ...worker.host },
    heartbeat: presence ? storedPresence(presence) : null,
  };
}

function storedStatus(status: WorkerStatus): StoredWorker['status'] {
  switch (status.kind) {
    case 'joining':
      return {
        kind: 'joining',
        reserved_at: status.reservedAtMs,
        credential: storedCredential(status.credential),
      };
    case 'member':
      return { kind: 'member', credential: status.credential ? storedCredential(status.credential) : null };
    default:
      return status;
  }
}

function storedCredential(credential: IssuedCredential): z.infer<typeof Credential> {
  return {
    id: credential.id,
    issued_at: credential.issuedAtMs,
    expires_at: credential.expiresAtMs,
    node_uid: credential.nodeUid ?? null,
  };
}

function storedPresence(presence: Presence): NonNullable<StoredWorker['heartbeat']> {
  const { cpuPercent, memoryPercent, diskPercent } = presence.resourceUsage;
  return {
    incarnation: presence.incarnation,
    sequence: presence.sequence,
    last_heartbeat: presence.lastHeartbeatMs,
    agent_state: presence.agentState,
    stake_status: presence.stakeStatus,
    stake_amount: presence.stakeAmount,
    running_pods: presence.runningPods,
    resource_usage: {
      cpu_percent: cpuPercent,
      memory_percent: memoryPercent,
      disk_percent: diskPercent,
    },
    good_at: presence.goodAtMs,
  };
}

/** @throws `DAAS_GATEWAY_STORE_DAMAGED` for anything that `toStored` did not make. */
export function fromStored(
  key: string,
  value: unknown,
): { readonly worker: Worker; readonly presence: Presence | undefined } {
  const parsed = StoredWorker.safeParse(value);
  if (!parsed.success || workerKey(parsed.data.node_id) !== key)
    throw new ConfigurationError(
      'DAAS_GATEWAY_STORE_DAMAGED',
      `the state record ${key} is not one of this version: restore the state file from a backup`,
      { cause: parsed.error },
    );
  const stored = parsed.data;
  return {
    worker: {
      nodeId: stored.node_id,
      recordId: stored.stake_record,
      tokenId: stored.seal_token,
      tokenSequence: BigInt(stored.token_sequence),
      staker: stored.staker,
      holderKey: stored.holder_key,
      tier: stored.tier,
      incarnation: stored.incarnation,
      registeredAtMs: stored.registered_at,
      status: readStatus(stored.status),
      statusSinceMs: stored.status_since,
      lockedAtMs: stored.locked_at ?? undefined,
      heldFor: stored.held_for ?? undefined,
      host: stored.host,
    },
    presence: stored.heartbeat ? readPresence(stored.heartbeat) : undefined,
  };
}

function readStatus(status: StoredWorker['status']): WorkerStatus {
  switch (status.kind) {
    case 'joining':
      return {
        kind: 'joining',
        reservedAtMs: status.reserved_at,
        credential: readCredential(status.credential),
      };
    case 'member':
      return {
        kind: 'member',
        credential: status.credential ? readCredential(status.credential) : undefined,
      };
    default:
      return status;
  }
}

function readCredential(stored: z.infer<typeof Credential>): IssuedCredential {
  return {
    id: stored.id,
    issuedAtMs: stored.issued_at,
    expiresAtMs: stored.expires_at,
    nodeUid: stored.node_uid ?? undefined,
  };
}

function readPresence(stored: NonNullable<StoredWorker['heartbeat']>): Presence {
  return {
    incarnation: stored.incarnation,
    sequence: stored.sequence,
    lastHeartbeatMs: stored.last_heartbeat,
    agentState: stored.agent_state,
    stakeStatus: stored.stake_status,
    stakeAmount: stored.stake_amount,
    runningPods: stored.running_pods,
    resourceUsage: {
      cpuPercent: stored.resource_usage.cpu_percent,
      memoryPercent: stored.resource_usage.memory_percent,
      diskPercent: stored.resource_usage.disk_percent,
    },
    goodAtMs: stored.good_at,
  };
}
