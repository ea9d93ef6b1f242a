import { errorFields } from '#base';
import type { KubernetesNode } from '#domain';
import type { AdmissionOptions, Admitted, Candidate } from './admission-context.ts';
import { ApiProblem } from './api-problem.ts';
import { inClusterTerms } from './cluster-failures.ts';
import { admittedNameOf, isSuspectSince, withMark } from './contested-names.ts';
import { credentialOf, type IssuedCredential, isAdmitted, type Worker, withStatus } from './worker.ts';

/** k3s deletes the password of a Node that is gone within two seconds. */
const passwordSweepMs = 3_000;
/** k3s sweeps a password Secret without a Node after ten minutes; a reused one must outlive the new credential. */
const reservationReuseMs = 60_000;
/** An eviction of the node waits for the lock that is held meanwhile. */
const takeBackDeadlineMs = 10_000;

/** Reserves and admits the name, and issues a join credential. What fails on the way is taken back. */
export async function issueCredential(context: AdmissionOptions, candidate: Candidate): Promise<Admitted> {
  const { kubernetes, config, clock } = context;
  const { nodeId, recordId } = candidate.next;
  try {
    const reservedAtMs = await inClusterTerms(secureName(context, candidate));
    const expiresAtMs = clock.nowMs() + config.joinCredentialLifeMs;
    const credential = await inClusterTerms(
      kubernetes.createJoinCredential({ nodeId, recordId, expiresAtMs }, candidate.until.writing),
    );
    const worker = await recordCredential(context, candidate, {
      reservedAtMs,
      credential: {
        id: credential.id,
        issuedAtMs: clock.nowMs(),
        expiresAtMs: credential.expiresAtMs,
        nodeUid: reservedAtMs === undefined ? candidate.node?.uid : undefined,
      },
    });
    return { worker, join: { credential: credential.credential, expiresAtMs: credential.expiresAtMs } };
  } catch (error) {
    await takeBack(context, nodeId);
    throw error;
  }
}

/**
 * Makes the name registrable by the holder of the node password alone. Resolves with when the password was reserved;
 * `undefined` when the Node exists and nothing had to be changed.
 */
async function secureName(context: AdmissionOptions, candidate: Candidate): Promise<number | undefined> {
  const { kubernetes, clock } = context;
  const { worker, node, isListed, next, until } = candidate;
  const isReserved = await isOwnPassword(context, candidate);
  // The last moment at which a caller that has gone leaves no trace.
  until.reading?.throwIfAborted();
  await revokeEarlier(context, candidate);
  if (isReserved && worker && isAdmitted(worker)) {
    if (node) {
      if (!isListed) await kubernetes.admitName(admittedNameOf(context, next), until.writing);
      return undefined;
    }
    const { status } = worker;
    // A Secret that had a Node goes with it, and an old one is swept: either would leave an admitted name unreserved.
    const isFresh = status.kind === 'joining' && clock.nowMs() - status.reservedAtMs < reservationReuseMs;
    if (isListed && isFresh) return status.reservedAtMs;
  }
  if (node && !worker) return adoptNode(context, candidate, isReserved);
  return reserveAnew(context, candidate);
}

/** Whether the password Secret of the name is this record's, with the password that the applicant knows. */
export async function isOwnPassword(
  { kubernetes }: AdmissionOptions,
  { applicant, next, until }: Candidate,
): Promise<boolean> {
  const password = await kubernetes.nodePassword(applicant.nodeId, until.reading);
  return password?.recordId === next.recordId && password.hash === applicant.nodePasswordHash;
}

async function revokeEarlier(
  { kubernetes, audit }: AdmissionOptions,
  { worker, next: { nodeId }, until }: Candidate,
): Promise<void> {
  const earlier = worker && credentialOf(worker);
  if (!earlier) return;
  await kubernetes.revokeJoinCredential(earlier.id, until.writing);
  audit.recordLockOut('credential.revoked', {
    node_id: nodeId,
    credential: earlier.id,
    reason: 'replaced',
  });
}

/**
 * Takes over a Node that carries this record's mark and password, and whose worker this store does not have.
 * @throws `ApiProblem` name_not_ours for a Node with another password.
 */
export async function adoptNode(
  context: AdmissionOptions,
  { next, isListed, until }: Candidate,
  isReserved: boolean,
): Promise<undefined> {
  const { kubernetes, registry, audit, clock } = context;
  const { nodeId, recordId } = next;
  if (!isReserved)
    throw new ApiProblem('name_not_ours', `the Node ${nodeId} was made with another node password`);
  await audit.note('node.adopted', { node_id: nodeId, stake_record: recordId });
  const status = { kind: 'member', credential: undefined } as const;
  // Whoever held the name before is in another store.
  const history = withMark(registry.history(nodeId), 'earlier-holder', clock.nowMs());
  await registry.save({ worker: withStatus(next, status, clock.nowMs()), history });
  // A listing that is there counts until the host shows its certificates here: this gateway knows none, and a running kubelet would be
  // refused for as long.
  if (!isListed) await kubernetes.admitName(admittedNameOf(context, next), until.writing);
}

type Step = (context: AdmissionOptions, candidate: Candidate) => Promise<void>;

/**
 * In this order a crash between any two leaves a name that cannot be used: between the old password and the new one any
 * join credential can claim the name. It must not be admitted then, nor have a Node whose certificate a stranger could
 * get.
 */
const stepsBeforePassword: readonly Step[] = [beginAdmission, removeName, deleteNode, untilPasswordIsSwept];

async function reserveAnew(context: AdmissionOptions, candidate: Candidate): Promise<number> {
  for (const step of stepsBeforePassword) await step(context, candidate);
  const reservedAtMs = context.clock.nowMs();
  await reservePassword(context, candidate);
  await admitName(context, candidate);
  return reservedAtMs;
}

/** Written first: from now on a crash is rolled back by the reconciler. */
async function beginAdmission(
  { registry, audit, clock }: AdmissionOptions,
  { next }: Candidate,
): Promise<void> {
  await registry.save({ worker: withStatus(next, { kind: 'admitting' }, clock.nowMs()) });
  await audit.note('admission.begun', {
    node_id: next.nodeId,
    stake_record: next.recordId,
    seal_token: next.tokenId,
    incarnation: next.incarnation,
  });
}

async function removeName({ kubernetes }: AdmissionOptions, { next, until }: Candidate): Promise<void> {
  await kubernetes.removeName(next.nodeId, until.writing);
}

async function deleteNode(
  { kubernetes, audit }: AdmissionOptions,
  { next: { nodeId }, node, until }: Candidate,
): Promise<void> {
  if (!node) return;
  const finalizers = await kubernetes.deleteNode({ nodeId, uid: node.uid }, until.writing);
  await audit.note('node.deleted', {
    node_id: nodeId,
    node_uid: node.uid,
    reason: 'joins_anew',
    finalizers: finalizers.join(',') || undefined,
  });
}

/**
 * k3s deletes the password of a Node that is gone by its name: a new one that was made meanwhile would be deleted too,
 * and leave an admitted name to the first claimant.
 */
async function untilPasswordIsSwept(
  { clock }: AdmissionOptions,
  { worker, node, until }: Candidate,
): Promise<void> {
  const goneAtMs = nodeGoneAtMs(worker, node, clock.nowMs());
  const waitMs = goneAtMs === undefined ? 0 : goneAtMs + passwordSweepMs - clock.nowMs();
  // Never longer: the time of day may have been set back since.
  if (waitMs > 0) await clock.sleep(Math.min(waitMs, passwordSweepMs), until.writing);
}

function nodeGoneAtMs(
  worker: Worker | undefined,
  node: KubernetesNode | undefined,
  nowMs: number,
): number | undefined {
  if (node) return nowMs;
  if (!worker) return undefined;
  const { status, statusSinceMs } = worker;
  const hadNode = status.kind === 'evicted' || (status.kind === 'lapsed' && status.reason === 'node_deleted');
  return hadNode ? statusSinceMs : undefined;
}

async function reservePassword(
  { kubernetes, audit }: AdmissionOptions,
  { applicant, next: { nodeId, recordId }, until }: Candidate,
): Promise<void> {
  const hash = applicant.nodePasswordHash;
  await kubernetes.reserveNodePassword({ nodeId, hash, recordId }, until.writing);
  await audit.note('name.reserved', { node_id: nodeId, stake_record: recordId });
}

async function admitName(context: AdmissionOptions, { next, until }: Candidate): Promise<void> {
  const name = admittedNameOf(context, next);
  await context.kubernetes.admitName(name, until.writing);
  await context.audit.note('name.admitted', {
    node_id: name.nodeId,
    tier: name.tier,
    contested: name.isContested || undefined,
  });
}

async function recordCredential(
  { registry, reconciler, audit, clock }: AdmissionOptions,
  { next }: Candidate,
  issued: { readonly reservedAtMs: number | undefined; readonly credential: IssuedCredential },
): Promise<Worker> {
  const { reservedAtMs, credential } = issued;
  await audit.note('credential.issued', {
    node_id: next.nodeId,
    credential: credential.id,
    expires_at: new Date(credential.expiresAtMs).toISOString(),
  });
  // A name that was reserved anew was listed with all that was known of it then.
  const listed =
    reservedAtMs === undefined
      ? next
      : { ...next, isListingDue: isSuspectSince(registry, next.nodeId, reservedAtMs) };
  const worker = withStatus(
    listed,
    reservedAtMs === undefined
      ? { kind: 'member', credential }
      : { kind: 'joining', reservedAtMs, credential },
    clock.nowMs(),
  );
  await registry.save({ worker });
  reconciler.enqueue(next.nodeId);
  return worker;
}

/** The compensation of every step: what was begun is undone now if it can be, else by the reconciler. */
async function takeBack({ registry, reconciler, log }: AdmissionOptions, nodeId: string): Promise<void> {
  const begun = registry.worker(nodeId);
  if (begun?.status.kind !== 'admitting') return reconciler.enqueue(nodeId);
  const deadline = AbortSignal.timeout(takeBackDeadlineMs);
  await reconciler.expireAdmission(begun, 'admission_failed', deadline).catch((error: unknown) => {
    log.warn('A failed admission could not be taken back yet', { nodeId, ...errorFields(error) });
    reconciler.enqueue(nodeId);
  });
}
