import { type Clock, errorFields, type Log } from '#base';
import type { ContestedNames, ForeignPassword, ForeignPasswordChange, KubernetesPort } from '#domain';
import type { Audit } from './audit.ts';
import {
  CLAIMS_PER_CREDENTIAL,
  type Claim,
  claimsByCredential,
  isClaim,
  isStanding,
  type LiveCredential,
  MOST_CLAIMS,
} from './claims.ts';
import type { Locks } from './locks.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import { inSlicesOf } from './slices.ts';
import { credentialOf, type Worker, withStatus } from './worker.ts';

export interface ClaimWatchOptions {
  readonly kubernetes: KubernetesPort;
  readonly registry: Registry;
  readonly reconciler: Pick<Reconciler, 'nodes' | 'names' | 'expireAdmission'>;
  readonly locks: Locks;
  readonly audit: Audit;
  /** `undefined`: names cannot be contested, since certificates are not vouched for. */
  readonly contested?: ContestedNames | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

interface ClaimWatch extends ClaimWatchOptions {
  /** Password Secrets that are not ours, by name. */
  readonly passwords: Map<string, ForeignPassword>;
  /** Not judged yet: the Nodes or the names are not read yet. */
  readonly unjudged: Map<string, ForeignPassword>;
  /** Secrets that were seen beside their Node: when that goes, its password outlives it for two seconds. */
  readonly ofNodes: Set<string>;
  readonly counts: Map<string, number>;
  /** The Secrets were listed, and have been followed since. */
  isListed: boolean;
  /** Of those known at the start: they may be expired before the Secrets are listed. */
  readonly credentialsUntilMs: number;
  revocation: Promise<void> | undefined;
}

const retryMs = 1_000;
const judgeEveryMs = 1_000;
/** k3s sweeps a password Secret without a Node after ten minutes: what was made and swept in between was never seen. */
const UNWATCHED_MS = 10 * 60_000;

/** Finds claimed names until the signal aborts. */
export async function watchClaims(options: ClaimWatchOptions, signal: AbortSignal): Promise<void> {
  const watch: ClaimWatch = {
    ...options,
    passwords: new Map(),
    unjudged: new Map(),
    ofNodes: new Set(),
    counts: claimsByCredential(options.registry.claims().values()),
    isListed: false,
    credentialsUntilMs: lastExpiryMs(options.registry.workers()),
    revocation: undefined,
  };
  await Promise.all([follow(watch, signal), judgeLoop(watch, signal)]);
  await watch.revocation;
}

async function follow(watch: ClaimWatch, signal: AbortSignal): Promise<void> {
  const { kubernetes, clock, log } = watch;
  while (!signal.aborted) {
    try {
      await kubernetes.watchForeignPasswords((change) => takeChange(watch, change), signal);
    } catch (error) {
      if (signal.aborted) return;
      watch.isListed = false;
      log.warn('The watch on the node passwords has failed', errorFields(error));
    }
    await clock.sleep(retryMs, signal).catch(() => undefined);
  }
}

function takeChange(watch: ClaimWatch, change: ForeignPasswordChange): void {
  const { passwords, unjudged } = watch;
  switch (change.kind) {
    case 'listed':
      noteGap(watch);
      watch.isListed = true;
      passwords.clear();
      for (const password of change.passwords) {
        passwords.set(password.nodeId, password);
        unjudged.set(password.nodeId, password);
      }
      return;
    case 'added':
      passwords.set(change.password.nodeId, change.password);
      unjudged.set(change.password.nodeId, change.password);
      return;
    case 'deleted':
      // What has not been judged yet is judged all the same: its certificate exists.
      passwords.delete(change.password.nodeId);
      return;
    default:
      change satisfies never;
  }
}

/** While nobody watched, claims may have been made and swept away: any certificate may exist then. */
function noteGap({ registry, contested, audit, clock, log, credentialsUntilMs }: ClaimWatch): void {
  const nowMs = clock.nowMs();
  const sinceMs = registry.moment('passwords-watched');
  if (sinceMs === undefined || nowMs - sinceMs <= UNWATCHED_MS) return;
  const workers = registry.workers();
  if (Math.max(credentialsUntilMs, lastExpiryMs(workers)) <= sinceMs) return;
  log.warn('Node passwords were not watched while join credentials lived: every name counts as contested', {
    event: 'names.unwatched',
  });
  audit.recordLockOut('names.unwatched', { from: new Date(sinceMs).toISOString(), names: workers.length });
  for (const { nodeId } of workers) void markContested({ contested, log }, nodeId, 'unwatched');
}

/** When the last of the join credentials ends; 0 without one. */
function lastExpiryMs(workers: readonly Worker[]): number {
  return workers.reduce((last, worker) => Math.max(last, credentialOf(worker)?.expiresAtMs ?? 0), 0);
}

async function judgeLoop(watch: ClaimWatch, signal: AbortSignal): Promise<void> {
  const { clock, registry, log } = watch;
  let writtenAtMs = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    try {
      await judge(watch);
      // Coarse: only gaps of minutes matter. Before the first list this would write over the gap that the list is to find.
      const isCovered = watch.isListed && watch.unjudged.size === 0;
      if (isCovered && clock.monotonicMs() - writtenAtMs >= 60_000) {
        writtenAtMs = clock.monotonicMs();
        await registry.save({ moments: { 'passwords-watched': clock.nowMs() } });
      }
    } catch (error) {
      log.warn('Claims on names could not be judged yet', errorFields(error));
    }
    await clock.sleep(judgeEveryMs, signal).catch(() => undefined);
  }
}

async function judge(watch: ClaimWatch): Promise<void> {
  const { reconciler, unjudged, ofNodes, passwords } = watch;
  const nodes = reconciler.nodes();
  const names = reconciler.names();
  if (!nodes || !names) return;
  const due = [...unjudged.values()];
  unjudged.clear();
  const uids = new Set([...passwords.values()].map(({ uid }) => uid));
  for (const uid of ofNodes) if (!uids.has(uid)) ofNodes.delete(uid);
  const claims: Claim[] = [];
  await inSlicesOf(500, due, async (password) => {
    const { nodeId, uid } = password;
    const hasNode = nodes.has(nodeId);
    if (hasNode) ofNodes.add(uid);
    if (!isClaim({ hasNode: hasNode || ofNodes.has(uid), listing: names.get(nodeId) })) return;
    const claim = claimNow(watch, password);
    if (claim) claims.push(claim);
  });
  if (claims.length > 0) await takeClaims(watch, claims);
}

/** `undefined` for a Secret that was judged before. */
function claimNow({ registry, clock }: ClaimWatch, { nodeId, uid }: ForeignPassword): Claim | undefined {
  if (registry.claims().get(nodeId)?.secretUid === uid) return undefined;
  const nowMs = clock.nowMs();
  const credentials = liveCredentials(registry.workers(), nowMs);
  return { nodeId, secretUid: uid, seenAtMs: nowMs, credentials, releasedAtMs: undefined };
}

function liveCredentials(workers: readonly Worker[], nowMs: number): readonly LiveCredential[] {
  return workers.flatMap((worker) => {
    const credential = credentialOf(worker);
    return credential && credential.expiresAtMs > nowMs ? [{ id: credential.id, nodeId: worker.nodeId }] : [];
  });
}

async function takeClaims(watch: ClaimWatch, claims: readonly Claim[]): Promise<void> {
  const { registry, audit, log, counts, clock } = watch;
  for (const { nodeId, secretUid, credentials } of claims) {
    for (const { id } of credentials) counts.set(id, (counts.get(id) ?? 0) + 1);
    audit.recordLockOut('name.claimed', {
      node_id: nodeId,
      secret_uid: secretUid,
      credentials: credentials.map((live) => `${live.id} of ${live.nodeId}`).join(', ') || undefined,
    });
  }
  log.warn('Names were claimed at the k3s server by somebody with a join credential', {
    event: 'names.claimed',
    nodeId: claims[0]?.nodeId,
    ...(claims.length > 1 && { detail: `and ${claims.length - 1} more: k3s-daas gateway nodes` }),
  });
  await registry.decide({ claims, forgottenClaims: forgotten(registry, claims.length, clock.nowMs()) });
  // Together: they are written as one transaction.
  await Promise.all(claims.map(({ nodeId }) => markContested(watch, nodeId, 'claimed')));
  const isAbuse = claims.some(({ credentials }) =>
    credentials.some(({ id }) => (counts.get(id) ?? 0) >= CLAIMS_PER_CREDENTIAL),
  );
  // Not awaited: an admission may hold a node's lock for half a minute.
  if (isAbuse) watch.revocation = revokeAll(watch);
}

/** Claims whose certificates have ended, and the oldest of too many. */
function forgotten(registry: Registry, more: number, nowMs: number): readonly string[] {
  const claims = [...registry.claims().values()];
  const over = claims.filter((claim) => claim.releasedAtMs === undefined && !isStanding(claim, nowMs));
  const surplus = claims.length - over.length + more - MOST_CLAIMS;
  if (surplus <= 0) return over.map(({ nodeId }) => nodeId);
  const oldest = claims.toSorted((left, right) => left.seenAtMs - right.seenAtMs);
  return [...over, ...oldest.slice(0, surplus)].map(({ nodeId }) => nodeId);
}

async function markContested(
  { contested, log }: Pick<ClaimWatch, 'contested' | 'log'>,
  nodeId: string,
  reason: 'claimed' | 'unwatched',
): Promise<void> {
  await contested?.markContested(nodeId, reason).catch((error: unknown) => {
    log.error('A name could not be marked as contested', { nodeId, reason, ...errorFields(error) });
  });
}

/** One of them was used for the claims, and which one does not show. Honest hosts register again and get another. */
async function revokeAll({
  registry,
  locks,
  kubernetes,
  reconciler,
  audit,
  clock,
  log,
}: ClaimWatch): Promise<void> {
  const due = registry.workers().filter((worker) => credentialOf(worker) !== undefined);
  log.error('Join credentials were used for the names of others: all live ones are revoked', {
    event: 'credentials.revoked',
    detail: `${due.length} of them`,
  });
  await Promise.all(
    due.map(({ nodeId }) =>
      locks.run(nodeId, async () => {
        const worker = registry.worker(nodeId);
        const credential = worker && credentialOf(worker);
        if (!credential) return;
        await kubernetes.revokeJoinCredential(credential.id);
        audit.recordLockOut('credential.revoked', {
          node_id: nodeId,
          credential: credential.id,
          reason: 'names_claimed',
        });
        if (worker.status.kind === 'joining') await reconciler.expireAdmission(worker, 'names_claimed');
        else
          await registry.decide({
            worker: withStatus(worker, { kind: 'member', credential: undefined }, clock.nowMs()),
          });
      }),
    ),
  ).catch((error: unknown) => log.error('Not every join credential could be revoked', errorFields(error)));
}
