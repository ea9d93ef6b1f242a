import { z } from 'zod';
import { noCertificates } from './certificates.ts';
import type { EvictionReason } from './decision.ts';
import { Digits, Millis, orDefault, orNull, readStored, storedRecord } from './stored-record.ts';
import type { ExpiryReason, LastHeartbeat, Worker } from './worker.ts';

export const workerKey = (nodeId: string) => `/workers/${nodeId}`;

const EvictionReasons = z.enum([
  'slashed',
  'unbonding',
  'withdrawn',
  'token_revoked',
  'stake_short_after_slash',
  'evicted',
  'left',
  'banned',
  'not_admitted',
] as const satisfies readonly EvictionReason[]);

const ExpiryReasons = z.enum([
  'node_deleted',
  'join_expired',
  'admission_interrupted',
  'admission_failed',
  'names_claimed',
] as const satisfies readonly ExpiryReason[]);

const Credential = storedRecord({
  id: ['id', z.string()],
  issuedAtMs: ['issued_at', Millis],
  expiresAtMs: ['expires_at', Millis],
  nodeUid: ['node_uid', orNull(z.string())],
  secretHash: ['secret_hash', z.optional(z.string().regex(/^[0-9a-f]{64}$/))],
});

const Status = z.discriminatedUnion('kind', [
  storedRecord({ kind: ['kind', z.literal('admitting')] }),
  storedRecord({
    kind: ['kind', z.literal('joining')],
    reservedAtMs: ['reserved_at', Millis],
    credential: ['credential', Credential],
  }),
  storedRecord({ kind: ['kind', z.literal('member')], credential: ['credential', orNull(Credential)] }),
  storedRecord({ kind: ['kind', z.literal('lapsed')], reason: ['reason', ExpiryReasons] }),
  storedRecord({ kind: ['kind', z.literal('evicting')], reason: ['reason', EvictionReasons] }),
  storedRecord({ kind: ['kind', z.literal('evicted')], reason: ['reason', EvictionReasons] }),
]);

const Heartbeat = storedRecord({
  incarnation: ['incarnation', z.number().int().nonnegative()],
  sequence: ['sequence', z.number().int().nonnegative()],
  lastHeartbeatMs: ['last_heartbeat', Millis],
  agentState: ['agent_state', z.string()],
  stakeStatus: ['stake_status', z.string()],
  stakeAmount: ['stake_amount', z.string()],
  runningPods: ['running_pods', z.number().nullable()],
  resourceUsage: [
    'resource_usage',
    storedRecord({
      cpuPercent: ['cpu_percent', z.number()],
      memoryPercent: ['memory_percent', z.number()],
      diskPercent: ['disk_percent', z.number()],
    }),
  ],
  goodAtMs: ['good_at', Millis],
});

const Shown = z.array(
  storedRecord({
    identity: ['identity', z.enum(['kubelet', 'kube-proxy', 'k3s-controller'])],
    fingerprint: ['fingerprint', z.string().regex(/^[0-9a-f]{64}$/)],
    notAfterMs: ['not_after', Millis],
  }),
);

const StoredCertificates = storedRecord({
  confirmed: ['confirmed', Shown.readonly()],
  shown: ['shown', Shown.readonly()],
  shownAtMs: ['shown_at', orNull(Millis)],
});

const StoredMachine = storedRecord({
  machineId: ['machine_id', orNull(z.string())],
  bootId: ['boot_id', z.string()],
  runId: ['run_id', z.string()],
});

const StoredClone = storedRecord({
  sinceMs: ['since', Millis],
  served: [
    'served',
    storedRecord({
      incarnation: ['incarnation', z.number().int().nonnegative()],
      registeredAtMs: ['registered_at', Millis],
      machine: ['machine', StoredMachine],
      hasKubelet: ['has_kubelet', orDefault(z.boolean(), false)],
    }),
  ],
  other: ['other', StoredMachine],
});

const StoredAttestation = storedRecord({
  judgedAtMs: ['judged_at', Millis],
  kind: ['kind', z.string()],
  measurement: ['measurement', orNull(z.string())],
  covers: ['covers', orNull(z.string())],
  problem: ['problem', orNull(z.string())],
  boundKey: ['bound_key', orNull(z.string())],
});

/** As it is stored under `/workers/<node_id>`: the members of the seed's worker record, and the gateway's own. */
const StoredWorker = storedRecord({
  nodeId: ['node_id', z.string()],
  recordId: ['stake_record', z.string()],
  tokenId: ['seal_token', z.string()],
  tokenSequence: ['token_sequence', Digits],
  staker: ['staker', z.string()],
  holderKey: ['holder_key', z.string()],
  tier: ['tier', z.string()],
  incarnation: ['incarnation', z.number().int().nonnegative()],
  registeredAtMs: ['registered_at', Millis],
  status: ['status', Status],
  statusSinceMs: ['status_since', Millis],
  lockedAtMs: ['locked_at', orNull(Millis)],
  // A record of an earlier version has no such member.
  firstReadyAtMs: ['first_ready_at', orNull(Millis).optional()],
  heldFor: ['held_for', orNull(EvictionReasons)],
  certificates: ['certificates', orDefault(StoredCertificates, noCertificates)],
  isListingDue: ['listing_due', orDefault(z.boolean(), false)],
  host: ['host', z.record(z.string(), z.union([z.string(), z.number()]))],
  // A record of an earlier version has none of these.
  machine: ['machine', orNull(StoredMachine).optional()],
  clone: ['clone', orNull(StoredClone).optional()],
  attestation: ['attestation', orNull(StoredAttestation).optional()],
  lastHeartbeat: ['heartbeat', orNull(Heartbeat)],
});

interface Remembered {
  readonly worker: Worker;
  readonly lastHeartbeat: LastHeartbeat | undefined;
}

export function toStored(worker: Worker, lastHeartbeat: LastHeartbeat | undefined): object {
  const { machine, clone, attestation } = worker;
  return z.encode(StoredWorker, { ...worker, machine, clone, attestation, lastHeartbeat });
}

/** @throws `DAAS_GATEWAY_STORE_DAMAGED` for anything that `toStored` did not make. */
export function fromStored(key: string, value: unknown): Remembered {
  const keyOf = ({ nodeId }: Pick<Worker, 'nodeId'>) => workerKey(nodeId);
  const { lastHeartbeat, ...worker } = readStored(StoredWorker, { key, value, keyOf });
  return { worker, lastHeartbeat };
}
