import { type Clock, errorFields, inSlices, type Log } from '#base';
import type { ForeignPassword, ForeignPasswordChange, KubernetesPort } from '#domain';
import type { Audit } from './audit.ts';
import {
  type Claim,
  forgottenClaims,
  isAbuse,
  isClaim,
  type LiveIssued,
  rememberedCredentials,
} from './claims.ts';
import { relistContested } from './contested-names.ts';
import { createFailureLog } from './failure-log.ts';
import { createGate, type Locks } from './locks.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import { credentialOf, isAdmitted, type Worker, withStatus } from './worker.ts';

export interface ClaimWatchOptions {
  readonly kubernetes: KubernetesPort;
  readonly registry: Registry;
  readonly reconciler: Pick<Reconciler, 'nodes' | 'names' | 'expireAdmission' | 'enqueue'>;
  readonly locks: Locks;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ClaimWatch {
  /** Finds claimed names until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Why claims cannot be seen, when that has lasted too long; `undefined`: they can. */
  failure(): string | undefined;
}

interface Watch extends ClaimWatchOptions {
  /** Password Secrets that are not ours, by name. */
  readonly passwords: Map<string, ForeignPassword>;
  /** Not judged yet: the Nodes or the names are not read yet. */
  readonly unjudged: Map<string, ForeignPassword>;
  /** Secrets that were seen beside their Node: when that goes, its password outlives it for two seconds. */
  readonly ofNodes: Set<string>;
  /** Of those known at the start: they may be expired before the Secrets are listed. */
  readonly credentialsUntilMs: number;
  /** Since when (monotonic) the Secrets are not followed; `undefined`: they are. */
  blindSinceMs: number | undefined;
  /** Names changed while nothing was judged, so sets are to be swept. */
  isStale: boolean;
  isRevocationDue: boolean;
  revocation: Promise<void> | undefined;
}

const retryMs = 1_000;
const judgeEveryMs = 1_000;
/** k3s sweeps a password Secret without a Node after ten minutes: what was made and swept in between was never seen. */
const UNWATCHED_MS = 10 * 60_000;
/** Revocations in progress: each waits for the lock of its node. */
const REVOCATIONS_AT_ONCE = 16;

export function createClaimWatch(options: ClaimWatchOptions): ClaimWatch {
  const { registry, clock } = options;
  const workers = registry.workers();
  const watch: Watch = {
    ...options,
    passwords: new Map(),
    unjudged: new Map(),
    ofNodes: new Set(),
    credentialsUntilMs: lastExpiryMs(workers),
    blindSinceMs: clock.monotonicMs(),
    isStale: false,
    // One that a crash has cut off.
    isRevocationDue: isAbuse(registry.claims().values(), liveCredentials(workers, clock.nowMs())),
    revocation: undefined,
  };
  return {
    async run(signal) {
      await Promise.all([follow(watch, signal), judgeLoop(watch, signal)]);
      await watch.revocation;
    },
    failure() {
      const blindMs = watch.blindSinceMs === undefined ? 0 : clock.monotonicMs() - watch.blindSinceMs;
      if (blindMs < UNWATCHED_MS) return undefined;
      return `node passwords have not been watched for ${Math.round(blindMs / 60_000)} min: names may be claimed unseen`;
    },
  };
}

async function follow(watch: Watch, signal: AbortSignal): Promise<void> {
  const { kubernetes, clock, log } = watch;
  while (!signal.aborted) {
    try {
      await kubernetes.watchForeignPasswords((change) => takeChange(watch, change), signal);
    } catch (error) {
      if (signal.aborted) return;
      watch.blindSinceMs ??= clock.monotonicMs();
      log.warn('The watch on the node passwords has failed', errorFields(error));
    }
    await clock.sleep(retryMs, signal).catch(() => undefined);
  }
}

function takeChange(watch: Watch, change: ForeignPasswordChange): void {
  const { passwords, unjudged, clock } = watch;
  switch (change.kind) {
    case 'listed':
      noteGap(watch);
      watch.blindSinceMs = undefined;
      watch.isStale = true;
      passwords.clear();
      for (const password of change.passwords) {
        passwords.set(password.nodeId, password);
        unjudged.set(password.nodeId, password);
      }
      return;
    case 'unwatched':
      // The moment until which nothing was missed stops here: the next list measures the gap from it.
      watch.blindSinceMs ??= clock.monotonicMs();
      return;
    case 'added':
      passwords.set(change.password.nodeId, change.password);
      unjudged.set(change.password.nodeId, change.password);
      return;
    case 'deleted':
      // What has not been judged yet is judged all the same: its certificate exists.
      passwords.delete(change.password.nodeId);
      watch.isStale = true;
      return;
    default:
      change satisfies never;
  }
}

/** While the Secrets were not watched, claims may have been made and swept away: any certificate may exist then. */
function noteGap(watch: Watch): void {
  const { registry, audit, clock, log, credentialsUntilMs } = watch;
  const nowMs = clock.nowMs();
  const sinceMs = registry.moment('passwords-watched');
  if (sinceMs === undefined || nowMs - sinceMs <= UNWATCHED_MS) return;
  const workers = registry.workers();
  if (Math.max(credentialsUntilMs, lastExpiryMs(workers)) <= sinceMs) return;
  log.warn('Node passwords were not watched while join credentials lived: every name counts as contested', {
    event: 'names.unwatched',
  });
  audit.recordLockOut('names.unwatched', { from: new Date(sinceMs).toISOString(), names: workers.length });
  void contestAll(watch, workers);
}

/** Also the names that nobody holds yet: who has a certificate of one may wait for its next holder. */
async function contestAll(watch: Watch, workers: readonly Worker[]): Promise<void> {
  const { registry, clock } = watch;
  const names = workers.filter(isAdmitted).map(({ nodeId }) => nodeId);
  await registry.decide({ moments: { 'names-unseen': clock.nowMs() } });
  await relistContested(watch, names, 'unwatched');
}

/** When the last of the join credentials ends; 0 without one. */
function lastExpiryMs(workers: readonly Worker[]): number {
  return workers.reduce((last, worker) => Math.max(last, credentialOf(worker)?.expiresAtMs ?? 0), 0);
}

async function judgeLoop(watch: Watch, signal: AbortSignal): Promise<void> {
  const { clock, registry } = watch;
  const failures = createFailureLog(watch, {
    failed: 'Claims on names could not be judged yet',
    worked: 'Claims on names are judged again',
  });
  let writtenAtMs = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    try {
      await judge(watch);
      revokeWhenDue(watch, signal);
      // Coarse: only gaps of minutes matter. Before the first list this would write over the gap that the list is to find.
      const isCovered = watch.blindSinceMs === undefined && watch.unjudged.size === 0;
      if (isCovered && clock.monotonicMs() - writtenAtMs >= 60_000) {
        writtenAtMs = clock.monotonicMs();
        await registry.save({ moments: { 'passwords-watched': clock.nowMs() } });
      }
      failures.worked();
    } catch (error) {
      failures.failed(error);
    }
    await clock.sleep(judgeEveryMs, signal).catch(() => undefined);
  }
}

async function judge(watch: Watch): Promise<void> {
  const { reconciler, kubernetes, unjudged, ofNodes, passwords, registry, clock } = watch;
  const nodes = reconciler.nodes();
  const names = reconciler.names();
  if (!nodes || !names || (unjudged.size === 0 && !watch.isStale)) return;
  const due = [...unjudged.values()];
  watch.isStale = false;
  const uids = new Set([...passwords.values()].map(({ uid }) => uid));
  for (const uid of ofNodes) if (!uids.has(uid)) ofNodes.delete(uid);
  let claimed: ForeignPassword[] = [];
  await inSlices(due, (password) => {
    const { nodeId, uid } = password;
    const hasNode = nodes.has(nodeId);
    if (hasNode) ofNodes.add(uid);
    if (!isClaim({ hasNode: hasNode || ofNodes.has(uid), listing: names.get(nodeId) })) return;
    // One that was judged before.
    if (registry.claims().get(nodeId)?.secretUid === uid) return;
    claimed.push(password);
  });
  // What the operator has listed since the last full pass: a claim of it would be none.
  const listed = claimed.length > 0 ? await kubernetes.admittedNames() : names;
  claimed = claimed.filter(({ nodeId }) => isClaim({ hasNode: false, listing: listed.get(nodeId) }));
  for (const password of due)
    if (unjudged.get(password.nodeId) === password) unjudged.delete(password.nodeId);
  if (claimed.length > 0)
    await takeClaims(watch, claimed, liveCredentials(registry.workers(), clock.nowMs()));
}

function liveCredentials(workers: readonly Worker[], nowMs: number): readonly LiveIssued[] {
  return workers.flatMap((worker) => {
    const { id, issuedAtMs, expiresAtMs } = credentialOf(worker) ?? {};
    if (id === undefined || issuedAtMs === undefined) return [];
    return (expiresAtMs ?? 0) > nowMs ? [{ id, nodeId: worker.nodeId, issuedAtMs }] : [];
  });
}

async function takeClaims(
  watch: Watch,
  claimed: readonly ForeignPassword[],
  live: readonly LiveIssued[],
): Promise<void> {
  const { registry, audit, log, clock } = watch;
  const nowMs = clock.nowMs();
  const remembered = rememberedCredentials(live);
  const claims = claimed.map(
    ({ nodeId, uid }): Claim => ({
      nodeId,
      secretUid: uid,
      seenAtMs: nowMs,
      ...remembered,
      releasedAtMs: undefined,
    }),
  );
  const credentials = remembered.credentials.map(({ id, nodeId }) => `${id} of ${nodeId}`).join(', ');
  for (const { nodeId, secretUid, otherCredentials } of claims)
    audit.recordLockOut('name.claimed', {
      node_id: nodeId,
      secret_uid: secretUid,
      credentials: credentials || undefined,
      other_credentials: otherCredentials || undefined,
    });
  log.warn('Names were claimed at the k3s server by somebody with a join credential', {
    event: 'names.claimed',
    nodeId: claims[0]?.nodeId,
    ...(claims.length > 1 && { detail: `and ${claims.length - 1} more: k3s-daas gateway nodes` }),
  });
  await rememberClaims(watch, claims, nowMs);
  if (isAbuse(registry.claims().values(), live)) watch.isRevocationDue = true;
}

async function rememberClaims(watch: Watch, claims: readonly Claim[], nowMs: number): Promise<void> {
  const { registry } = watch;
  const { over, surplus } = forgottenClaims([...registry.claims().values()], claims.length, nowMs);
  await registry.decide({
    claims,
    forgottenClaims: [...over, ...surplus].map(({ nodeId }) => nodeId),
  });
  const names = claims.map(({ nodeId }) => nodeId);
  await relistContested(watch, names, 'claimed');
  // What was forgotten before the last time is covered by it.
  const unseenAtMs = registry.moment('names-unseen') ?? 0;
  if (surplus.some(({ seenAtMs }) => seenAtMs > unseenAtMs)) await contestAll(watch, registry.workers());
}

function revokeWhenDue(watch: Watch, signal: AbortSignal): void {
  if (!watch.isRevocationDue || watch.revocation) return;
  watch.isRevocationDue = false;
  // Not awaited: an admission may hold a node's lock for half a minute.
  watch.revocation = revokeAll(watch, signal)
    .catch((error: unknown) => {
      watch.isRevocationDue = true;
      if (!signal.aborted) watch.log.error('Not every join credential could be revoked', errorFields(error));
    })
    .finally(() => {
      watch.revocation = undefined;
    });
}

/** One of them was used for the claims, and which one does not show. Honest hosts register again and get another. */
async function revokeAll(watch: Watch, signal: AbortSignal): Promise<void> {
  const { registry, log, locks } = watch;
  const due = registry.workers().filter((worker) => credentialOf(worker) !== undefined);
  log.error('Join credentials were used for the names of others: all live ones are revoked', {
    event: 'credentials.revoked',
    detail: `${due.length} of them`,
  });
  const gate = createGate(REVOCATIONS_AT_ONCE, Number.POSITIVE_INFINITY);
  const revoke = (nodeId: string) => locks.run(nodeId, () => revokeOne(watch, nodeId, signal), signal);
  const outcomes = await Promise.allSettled(
    due.map(async ({ nodeId }) => gate.enter(() => revoke(nodeId), signal)),
  );
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

async function revokeOne(watch: Watch, nodeId: string, signal: AbortSignal): Promise<void> {
  const { registry, kubernetes, reconciler, audit, clock } = watch;
  const worker = registry.worker(nodeId);
  const credential = worker && credentialOf(worker);
  if (!credential) return;
  await kubernetes.revokeJoinCredential(credential.id, signal);
  audit.recordLockOut('credential.revoked', {
    node_id: nodeId,
    credential: credential.id,
    reason: 'names_claimed',
  });
  if (worker.status.kind === 'joining') await reconciler.expireAdmission(worker, 'names_claimed', signal);
  else
    await registry.decide({
      worker: withStatus(worker, { kind: 'member', credential: undefined }, clock.nowMs()),
    });
}
