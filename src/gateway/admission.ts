import type { ProblemCode } from '#api';
import { traced } from '#base';
import { ageProblem } from './admission-age.ts';
import type { AdmissionOptions, Admitted, Applicant, Candidate, Until } from './admission-context.ts';
import {
  type AdmissionRules,
  bindingProblem,
  explainFact,
  explainProblem,
  nameProblem,
  ruleProblem,
  standingOf,
} from './admission-policy.ts';
import { adoptNode, isOwnPassword, issueCredential } from './admission-steps.ts';
import { ApiProblem } from './api-problem.ts';
import { noCertificates } from './certificates.ts';
import { type ClaimGrounds, effectOf } from './claims.ts';
import { cloned } from './clones.ts';
import { inClusterTerms } from './cluster-failures.ts';
import { decide } from './decision.ts';
import { refuseAfterLeaving } from './leaving.ts';
import { isKubeletHeard } from './liveness.ts';
import { createGate, createLocks, type Gate, type Locks } from './locks.ts';
import { boundHolder } from './name-history.ts';
import { nextWorker } from './next-worker.ts';
import { banSlashedApplicant } from './slashed-applicant.ts';
import { credentialOf, isAdmitted, type Worker, withStatus } from './worker.ts';
import { examineMachine } from './worker-attestation.ts';

export interface Admission {
  /** Whether (node id, staker) would be admitted, from memory alone; asked before money is staked. */
  preview(nodeId: string, staker: string): ProblemCode | undefined;
  /**
   * One registration of a node at a time, and one that waits.
   * @throws `ApiProblem`.
   */
  admit(applicant: Applicant, until?: AdmissionSignals): Promise<Admitted>;
}

interface AdmissionSignals {
  /** Aborts when the caller is gone: what waits, or only reads, ends. Steps that were begun are finished. */
  readonly caller?: AbortSignal;
  /** Aborts when the gateway stops: steps that were begun are taken back. */
  readonly gateway?: AbortSignal;
}

interface AdmissionContext extends AdmissionOptions {
  readonly rules: () => AdmissionRules;
  /** Records that an applicant was banned for. */
  readonly bannedRecords: Set<string>;
  /** Names on their way in: several at once must not take the same last place. */
  readonly entering: Set<string>;
  readonly gate: Gate;
  /**
   * The queue of each name's own registrations, before the gate: a node that registers over and over must not take the
   * places of others. Not the lock of the node, for which an eviction waits too.
   */
  readonly turns: Locks;
}

/** An eviction of the node waits for the lock that an admission of it holds: this long at most, and to take it back. */
const admissionDeadlineMs = 30_000;

export function createAdmission(options: AdmissionOptions): Admission {
  const { limits } = options.config;
  const context: AdmissionContext = {
    ...options,
    rules: rulesOf(options.config),
    bannedRecords: new Set(),
    entering: new Set(),
    gate: createGate(limits.admissions, limits.admissionsWaiting),
    turns: createLocks(),
  };
  return {
    preview: (nodeId, staker) => preview(context, nodeId, staker),
    async admit(applicant, { caller, gateway } = {}) {
      const { turns } = context;
      const until: Until = { reading: anyOf(caller, gateway), writing: gateway };
      // A place more for the host that has the kubelet's key: a thief of the node key may hold the others.
      if (turns.waiting(applicant.nodeId) > (applicant.hasKubelet ? 1 : 0))
        throw new ApiProblem('rate_limited', 'a registration of this node waits already', {
          retryAfterMs: 2_000,
        });
      return turns.run(applicant.nodeId, () => enter(context, applicant, until), until.reading);
    },
  };
}

/** A reload of the configuration replaces `admit`. */
function rulesOf(config: AdmissionOptions['config']): () => AdmissionRules {
  let made: { readonly of: unknown; readonly rules: AdmissionRules } | undefined;
  return () => {
    const { admit } = config;
    if (made?.of !== admit)
      made = {
        of: admit,
        rules: { ...admit, nodeIdPattern: new RegExp(`^(?:${admit.nodeIdPattern})$`, 'u') },
      };
    return made.rules;
  };
}

function preview(context: AdmissionContext, nodeId: string, staker: string): ProblemCode | undefined {
  const { registry, reconciler, config } = context;
  const worker = registry.worker(nodeId);
  const own =
    operatorProblem(context, { nodeId, staker, worker }) ??
    bindingProblem(registry.bans(), { nodeId, staker, holderKey: undefined, worker }) ??
    claimProblem(context, { nodeId, worker, stakedAtMs: undefined });
  // Anyone can ask this, so by default the operator's names are disclosed only after a stake was made for one.
  if (own || !config.admit.tellTakenNames) return own;
  const nodes = reconciler.nodes();
  const names = reconciler.names();
  if (!nodes || !names) return 'cluster_unavailable';
  const node = nodes.get(nodeId);
  // The record of the mark is compared at the registration.
  return nameProblem({ worker, staker, node, listing: names.get(nodeId), recordId: node?.stakeRecordId });
}

function enter(context: AdmissionContext, applicant: Applicant, until: Until): Promise<Admitted> {
  const entered = context.gate.enter(
    () =>
      context.locks.run(
        applicant.nodeId,
        () => traced('node.admission', spanOptions(applicant), () => admitInTime(context, applicant, until)),
        until.reading,
      ),
    until.reading,
  );
  if (!entered)
    throw new ApiProblem('overloaded', 'too many nodes register at once', { retryAfterMs: 2_000 });
  return entered;
}

const spanOptions =
  ({ nodeId, requestId }: Applicant) =>
  () => ({
    attributes: { 'k3s_daas.node_id': nodeId, 'k3s_daas.request_id': requestId },
  });

/** The caller holds the lock of the node, and not for long: an eviction of it waits for the same lock. */
async function admitInTime(
  context: AdmissionContext,
  applicant: Applicant,
  { reading, writing }: Until,
): Promise<Admitted> {
  const deadline = AbortSignal.timeout(admissionDeadlineMs);
  try {
    reading?.throwIfAborted();
    return await admit(context, applicant, {
      reading: anyOf(reading, deadline),
      writing: anyOf(writing, deadline),
    });
  } catch (cause) {
    const error = deadline.aborted
      ? new ApiProblem('cluster_unavailable', 'the cluster took too long', { cause, retryAfterMs: 2_000 })
      : cause;
    if (error instanceof ApiProblem) countRefusal(context, applicant, error);
    throw error;
  } finally {
    context.entering.delete(applicant.nodeId);
  }
}

function countRefusal(
  { refusals }: AdmissionContext,
  { nodeId, tokenId, requestId }: Applicant,
  { problem, checks }: ApiProblem,
): void {
  refusals.count(
    'admission.refused',
    { reason: problem, nodeId },
    { request_id: requestId, node_id: nodeId, seal_token: tokenId, checks: checks?.join(' ') },
  );
}

async function admit(context: AdmissionContext, applicant: Applicant, until: Until): Promise<Admitted> {
  const examined = await examine(context, applicant, until);
  const { worker, node } = examined;
  const isHeard = node !== undefined && (await inClusterTerms(hearsKubelet(context, examined)));
  const candidate = worker ? await amongClones(context, examined, { worker, isHeard }) : examined;
  if (isHeard && worker && isAdmitted(worker)) return keepMember(context, candidate, worker);
  if (isHeard && !worker) return adoptRunning(context, candidate);
  const issued = await issueCredential(context, candidate);
  await noteRegistered(context, candidate, issued.worker, { hasCredential: true });
  return issued;
}

/** A newer token ends a clone: its key is one that the other does not have. */
async function amongClones(
  { clones }: AdmissionContext,
  candidate: Candidate,
  { worker, isHeard }: { readonly worker: Worker; readonly isHeard: boolean },
): Promise<Candidate> {
  const { next, node, applicant } = candidate;
  if (next.tokenSequence > worker.tokenSequence || next.recordId !== worker.recordId) return candidate;
  const { machine, hasKubelet = false } = applicant;
  const clone = await clones.examineRegistration({ worker, machine, node, isHeard, hasKubelet });
  if (!clone || !machine) return candidate;
  // The node key alone brings no join credential while two use it.
  if (!hasKubelet && (!isHeard || !isAdmitted(worker))) throw cloned(worker.nodeId);
  const { incarnation, registeredAtMs } = next;
  // The process that has shown the kubelet's key keeps that standing, whatever it can show now.
  const isSame = machine.runId === clone.served.machine.runId;
  const served = { incarnation, registeredAtMs, machine };
  return {
    ...candidate,
    next: {
      ...next,
      clone: {
        ...clone,
        served: { ...served, hasKubelet: hasKubelet || (isSame && clone.served.hasKubelet === true) },
      },
    },
  };
}

/** The verdict: facts, then the operator's rules, then the binding of the name. */
async function examine(context: AdmissionContext, applicant: Applicant, until: Until): Promise<Candidate> {
  const { kubernetes, registry, entering } = context;
  const { nodeId, holderKey } = applicant;
  const worker = registry.worker(nodeId);
  await judgeStake(context, applicant, worker);
  if (worker) refuseAfterLeaving(worker, applicant.machine);
  const standing = standingOf(applicant.facts, worker);
  if (!standing)
    throw new ApiProblem('chain_unavailable', `nothing is known of the stake of node ${nodeId} yet`);
  const { staker, recordId, tokenSequence } = standing;
  if (worker?.recordId === recordId && tokenSequence < worker.tokenSequence)
    throw new ApiProblem('token_superseded', 'a newer Seal token of this stake was shown already');
  throwIf(operatorProblem(context, { nodeId, staker, worker }), nodeId);
  entering.add(nodeId);
  throwIf(bindingProblem(registry.bans(), { nodeId, staker, holderKey, worker }), nodeId);
  const stakedAtMs = applicant.facts?.record?.stakedAtMs;
  throwIf(claimProblem(context, { nodeId, worker, stakedAtMs }), nodeId);
  const attestation = await examineMachine(context, { applicant, worker, recordId });
  const [node, listing] = await inClusterTerms(
    Promise.all([kubernetes.node(nodeId, until.reading), kubernetes.admittedName(nodeId, until.reading)]),
  );
  throwIf(nameProblem({ worker, staker, node, listing, recordId }), nodeId);
  throwIf(await ageProblem(context, { applicant, worker, node, recordId, until }), nodeId);
  if (!(await inClusterTerms(kubernetes.showsCertificates(until.reading))))
    throwIf(boundProblem(context, { staker, holderKey }, nodeId), nodeId);
  const next = nextWorker(context, { applicant, worker, standing, attestation });
  return { applicant, worker, next, node, isListed: listing === next.tier, until };
}

/** What follows from the facts. An applicant that shows a slashed stake is banned. */
async function judgeStake(
  context: AdmissionContext,
  applicant: Applicant,
  worker: Worker | undefined,
): Promise<void> {
  const { registry, config, bannedRecords } = context;
  const { join, isBan } = decide({
    fact: applicant.fact,
    isAdmitted: worker !== undefined && isAdmitted(worker),
    isBreakerTripped: registry.breaker().trippedAtMs !== undefined,
    graceMs: config.factsGraceMs,
    isCordonDue: false,
  });
  if (join.kind === 'admit') return;
  if (isBan) await banSlashedApplicant(context, { applicant, worker }, bannedRecords);
  throw new ApiProblem(join.code, `node ${applicant.nodeId} is not admitted: ${explainFact(applicant.fact)}`);
}

function operatorProblem(
  { rules, registry, entering }: AdmissionContext,
  subject: { readonly nodeId: string; readonly staker: string; readonly worker: Worker | undefined },
): ProblemCode | undefined {
  const isPending = (nodeId: string) => {
    const worker = registry.worker(nodeId);
    return nodeId !== subject.nodeId && !(worker && isAdmitted(worker));
  };
  // No more than the gate lets in at once.
  const pending = [...entering].filter(isPending).length;
  return ruleProblem(rules(), { ...subject, places: registry.admittedCount() + pending });
}

/**
 * Where the policies cannot tell one certificate of a name from another, the name stays with its last staker and key for as
 * long as a certificate can live: with another holder, that certificate could take the name over.
 */
function boundProblem(
  { registry, clock }: AdmissionContext,
  { staker, holderKey }: { readonly staker: string; readonly holderKey: string },
  nodeId: string,
): ProblemCode | undefined {
  const last = boundHolder(registry.history(nodeId), clock.nowMs());
  return last && (last.staker !== staker || last.holderKey !== holderKey) ? 'name_taken' : undefined;
}

/** A name that somebody may have a certificate of is closed to stakes that came later. */
function claimProblem(
  { registry, clock, isVouchingEnforced = () => false }: AdmissionContext,
  { nodeId, ...grounds }: Pick<ClaimGrounds, 'worker' | 'stakedAtMs'> & { readonly nodeId: string },
): ProblemCode | undefined {
  const claim = registry.claims().get(nodeId);
  if (!claim) return undefined;
  const effect = effectOf(claim, {
    ...grounds,
    isVouchingEnforced: isVouchingEnforced(),
    nowMs: clock.nowMs(),
  });
  return effect === 'closed' ? 'name_claimed' : undefined;
}

function throwIf(problem: ProblemCode | undefined, nodeId: string): void {
  if (problem) throw new ApiProblem(problem, `node ${nodeId} is not admitted: ${explainProblem(problem)}`);
}

async function hearsKubelet(
  { kubernetes, clock }: AdmissionContext,
  { node, until }: Candidate,
): Promise<boolean> {
  if (!node) return false;
  const renewedAtMs = node.isKubeletSilent
    ? await kubernetes.leaseRenewedAtMs(node.name, until.reading)
    : undefined;
  return isKubeletHeard(node, renewedAtMs, clock.nowMs());
}

/** The kubelet runs: no credential. Name and taint stay as they are; another tier comes with the next join. */
async function keepMember(
  context: AdmissionContext,
  candidate: Candidate,
  worker: Worker,
): Promise<Admitted> {
  const { recordId, staker } = candidate.next;
  const isSameStake = worker.recordId === recordId && worker.staker === staker;
  // A new key of the same stake: the agent runs on with the certificates it has.
  const certificates = isSameStake ? worker.certificates : noCertificates;
  const kept = { ...candidate.next, tier: worker.tier, certificates };
  await noteRegistered(context, candidate, kept, { hasCredential: false });
  const status = { kind: 'member', credential: credentialOf(worker) } as const;
  await context.registry.save({ worker: withStatus(kept, status, kept.registeredAtMs) });
  return { worker: kept, join: undefined };
}

/**
 * A node whose kubelet runs, and that this gateway does not know: its store was lost, or another gateway has admitted the node. Its key
 * alone must not get a second credential.
 */
async function adoptRunning(context: AdmissionContext, candidate: Candidate): Promise<Admitted> {
  const isReserved = await isOwnPassword(context, candidate);
  await inClusterTerms(adoptNode(context, candidate, isReserved));
  const worker = context.registry.worker(candidate.next.nodeId) ?? candidate.next;
  await noteRegistered(context, candidate, worker, { hasCredential: false });
  return { worker, join: undefined };
}

async function noteRegistered(
  { audit, clones }: AdmissionContext,
  { applicant }: Candidate,
  worker: Worker,
  { hasCredential }: { readonly hasCredential: boolean },
): Promise<void> {
  clones.registered(worker.nodeId, applicant.machine);
  await audit.note('worker.registered', {
    request_id: applicant.requestId,
    node_id: worker.nodeId,
    stake_record: worker.recordId,
    seal_token: worker.tokenId,
    incarnation: worker.incarnation,
    credential: hasCredential,
    attestation: worker.attestation?.kind,
  });
}

function anyOf(...signals: ReadonlyArray<AbortSignal | undefined>): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}
