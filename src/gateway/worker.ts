import type { Vouch } from '#domain';
import type { Machine } from '#seal';
import { type Certificates, noCertificates } from './certificates.ts';
import type { Clone } from './clones.ts';
import type { EvictionReason } from './decision.ts';
import type { WorkerAttestation } from './worker-attestation.ts';

/**
 * Where a worker is between its first admission and its end. Each status is written before the step that it names
 * begins, so that the next start knows after a crash what may have been done.
 */
export type WorkerStatus =
  /** The steps of an admission are in progress. After a crash they are rolled back. */
  | { readonly kind: 'admitting' }
  /** The name is admitted and a credential is issued; the Node has not appeared yet. */
  | { readonly kind: 'joining'; readonly reservedAtMs: number; readonly credential: IssuedCredential }
  /** The Node exists. `credential`: for a worker that registered again while its Node existed. */
  | { readonly kind: 'member'; readonly credential: IssuedCredential | undefined }
  /** No longer admitted, without guilt: its Node was deleted, or never appeared. It may register again. */
  | { readonly kind: 'lapsed'; readonly reason: ExpiryReason }
  | { readonly kind: 'evicting'; readonly reason: EvictionReason }
  | { readonly kind: 'evicted'; readonly reason: EvictionReason };

/** Why an admission has expired. */
export type ExpiryReason =
  | 'node_deleted'
  | 'join_expired'
  | 'admission_interrupted'
  | 'admission_failed'
  /** A join credential, perhaps this one, was used for the names of others. */
  | 'names_claimed';

export interface IssuedCredential {
  /** Public: six characters, part of the Secret's name. */
  readonly id: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** The Node that existed when it was issued. */
  readonly nodeUid: string | undefined;
  /** SHA-256 of the secret in hex, when this gateway itself answers for it; undefined for one in a Secret of the cluster. */
  readonly secretHash: string | undefined;
}

/** What the gateway has decided about a node id; it binds the name to its staker. */
export interface Worker {
  readonly nodeId: string;
  readonly recordId: string;
  readonly tokenId: string;
  readonly tokenSequence: bigint;
  readonly staker: string;
  /** Ed25519 public key, base64url. */
  readonly holderKey: string;
  /** Its listing among the admitted names: the tier whose taint the Node must carry, or `untainted`. */
  readonly tier: string;
  readonly incarnation: number;
  readonly registeredAtMs: number;
  readonly status: WorkerStatus;
  readonly statusSinceMs: number;
  /** Since when registrations wait for the operator's `unlock`. */
  readonly lockedAtMs: number | undefined;
  /** When a Node of this registration's stake was first seen Ready; `undefined`: no machine has stood behind it yet. */
  readonly firstReadyAtMs: number | undefined;
  /** Why it should be evicted, while the tripped breaker holds the eviction. */
  readonly heldFor: EvictionReason | undefined;
  readonly host: Readonly<Record<string, string | number>>;
  /** The client certificates that its host has shown. */
  readonly certificates: Certificates;
  /** The cluster does not know yet which of them count, or whether the name is contested. */
  readonly isListingDue: boolean;
  /** Where the registration was signed; undefined of a host that does not say it. */
  readonly machine?: Machine | undefined;
  /** Its key is used in two places: registrations are frozen. */
  readonly clone?: Clone | undefined;
  /** What its machine has shown; `undefined`: it was asked for nothing. */
  readonly attestation?: WorkerAttestation | undefined;
}

/** What the last heartbeat reported; kept in memory and written at intervals. */
export interface LastHeartbeat {
  /** Of the registration that sent it. */
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

/** Whether it was a worker, and no step for it is in progress. */
export function hasLeft(worker: Worker): boolean {
  return worker.status.kind === 'evicted' || worker.status.kind === 'lapsed';
}

export function credentialOf(worker: Worker): IssuedCredential | undefined {
  return worker.status.kind === 'joining' || worker.status.kind === 'member'
    ? worker.status.credential
    : undefined;
}

/** A worker that is no longer admitted loses its vouches with that. */
export function withStatus(worker: Worker, status: WorkerStatus, nowMs: number): Worker {
  const isOut = ['lapsed', 'evicting', 'evicted'].includes(status.kind);
  const lost = isOut ? { certificates: noCertificates, isListingDue: false } : {};
  return { ...worker, ...lost, status, statusSinceMs: nowMs };
}

/** What a live stake vouches for. */
export function vouchesOf({ nodeId, certificates, status }: Worker): readonly Vouch[] {
  const isIn = status.kind === 'admitting' || status.kind === 'joining' || status.kind === 'member';
  if (!isIn) return [];
  const { confirmed, shown } = certificates;
  const known = new Map([...confirmed, ...shown].map((one) => [one.fingerprint, { nodeId, ...one }]));
  return [...known.values()];
}
