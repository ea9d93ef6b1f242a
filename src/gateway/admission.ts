import type { ProblemCode } from '#api';
import { type Clock, DaasError, type Log, messageOf, type Secret } from '#base';
import {
  type ChainReader,
  type ClusterNode,
  type ClusterPort,
  GATEWAY_TIERS,
  type GatewayTier,
  isOperatorsName,
  UNTAINTED,
} from '#domain';
import type { ChainFacts } from '#seal';
import type { Audit } from './audit.ts';
import { banOf } from './bans.ts';
import type { GatewayConfig } from './config.ts';
import { decide, problemOf, type StakeFact } from './decision.ts';
import { isKubeletHeard } from './liveness.ts';
import { createGate, createLocks, type Locks } from './locks.ts';
import { bansFor, type Reconciler, withStatus } from './reconciler.ts';
import { Refusal } from './refusal.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import { credentialOf, type IssuedCredential, isAdmitted, type Worker } from './worker.ts';

/** Somebody whose Seal proof holds: the key that signed is the one the chain names for the token. */
export interface Applicant {
  readonly nodeId: string;
  /** base64url */
  readonly holderKey: string;
  readonly tokenId: string;
  /** Undefined while the chain is away; then he must be known. */
  readonly facts: ChainFacts | undefined;
  readonly fact: StakeFact;
  readonly nodePasswordHash: string;
  readonly host: Readonly<Record<string, string | number>>;
  readonly requestId: string;
}

export interface Admitted {
  readonly worker: Worker;
  /** Undefined: the API server hears the Node's kubelet, the agent goes on with what it has. */
  readonly join: { readonly credential: Secret; readonly expiresAtMs: number } | undefined;
}

export interface Admission {
  /** Whether (node id, staker) would be admitted, from memory alone; asked before money is staked. */
  preview(nodeId: string, staker: string): ProblemCode | undefined;
  /**
   * One registration of a node at a time, and one that waits.
   * @throws `Refusal`.
   */
  admit(applicant: Applicant, until?: AdmissionSignals): Promise<Admitted>;
}

interface AdmissionSignals {
  /** Aborts when the caller is gone: what waits, or only reads, ends. Steps that were begun are finished. */
  readonly caller?: AbortSignal;
  /** Aborts when the gateway stops: steps that were begun are taken back. */
  readonly gateway?: AbortSignal;
}

/** Both signals, as the steps of an admission take them. */
interface Until {
  /** Until the first write. */
  readonly reading: AbortSignal | undefined;
  readonly writing: AbortSignal | undefined;
}

export interface AdmissionOptions {
  readonly config: GatewayConfig;
  readonly cluster: ClusterPort;
  readonly chain: ChainReader;
  readonly registry: Registry;
  readonly reconciler: Reconciler;
  readonly audit: Audit;
  readonly refusals: RefusalTally;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly log: Log;
}

const passwordSweepMs = 3_000;
/** k3s sweeps a password Secret without a Node after ten minutes; a reused one must outlive the new credential. */
const reservationReuseMs = 60_000;
/** An eviction of the node waits for the lock that an admission of it holds: so long at most, and to take it back. */
const admissionDeadlineMs = 30_000;
const takeBackDeadlineMs = 10_000;

export function createAdmission(options: AdmissionOptions): Admission {
  const { config, cluster, chain, registry, reconciler, audit, refusals, locks, clock, log } = options;
  const pattern = new RegExp(`^(?:${config.admit.nodeIdPattern})$`, 'u');
  const bannedRecords = new Set<string>();
  /** Names on their way in: several at once must not take the same last place. */
  const entering = new Set<string>();
  const gate = createGate(config.limits.admissions, config.limits.admissionsWaiting);
  /**
   * The line of each name's own registrations, before the gate: a node that registers over and over must not take the places
   * of others. Not the lock of the node, for which an eviction waits too.
   */
  const turns = createLocks();

  /** Step 1: whom the operator admits. */
  function policyProblem(
    nodeId: string,
    staker: string,
    worker: Worker | undefined,
  ): ProblemCode | undefined {
    const { stakers, maxNodes } = config.admit;
    if (stakers !== 'any' && !stakers.includes(staker)) return 'staker_not_admitted';
    if (!pattern.test(nodeId)) return 'node_id_not_admitted';
    if (worker && isAdmitted(worker)) return undefined;
    return registry.admittedCount() + othersEntering(nodeId) >= maxNodes ? 'cluster_full' : undefined;
  }

  /** Names on their way in that do not count as admitted yet; no more than the gate lets in at once. */
  function othersEntering(nodeId: string): number {
    let count = 0;
    for (const other of entering) {
      const worker = registry.worker(other);
      if (other !== nodeId && !(worker && isAdmitted(worker))) count += 1;
    }
    return count;
  }

  /** Step 2, the part that memory answers: bans, locks, and to whom the name is bound. */
  function bindingProblem(
    nodeId: string,
    staker: string,
    holderKey: string | undefined,
    worker: Worker | undefined,
  ): ProblemCode | undefined {
    const isKnownName = worker?.staker === staker;
    if (banOf(registry.bans(), { nodeId, staker, holderKey: holderKey ?? '', isKnownName })) return 'banned';
    if (worker?.lockedAtMs !== undefined) return 'locked';
    if (worker?.status.kind === 'evicting') return 'name_taken';
    if (worker && !isKnownName && (isAdmitted(worker) || worker.status.kind === 'admitting'))
      return 'name_taken';
    return undefined;
  }

  /** Step 2, the part that the cluster answers: somebody has the name already, staked or not. */
  function nameProblem(
    worker: Worker | undefined,
    staker: string,
    node: ClusterNode | undefined,
    listing: string | undefined,
    recordId: string | undefined,
  ): ProblemCode | undefined {
    if (worker && isAdmitted(worker)) return undefined;
    // `setup` lists every server and ordinary node; a name with a tier and no worker is a leftover of ours.
    if (isOperatorsName(listing)) return 'name_not_ours';
    if (!node) return undefined;
    if (worker) return worker.staker === staker ? undefined : 'name_taken';
    // Only the API server's administrators can set our mark: a Node that names this very record is its own.
    return recordId !== undefined && node.stakeRecordId === recordId ? undefined : 'name_not_ours';
  }

  async function admitLocked(applicant: Applicant, until: Until): Promise<Admitted> {
    const { nodeId } = applicant;
    const worker = registry.worker(nodeId);
    await judge(applicant, worker);
    const { staker, recordId, tokenSequence, tier } = standing(applicant, worker);
    if (worker?.recordId === recordId && tokenSequence < worker.tokenSequence)
      throw new Refusal('token_superseded', 'a newer Seal token of this stake was shown already');
    throwIf(policyProblem(nodeId, staker, worker), applicant);
    entering.add(nodeId);
    throwIf(bindingProblem(nodeId, staker, applicant.holderKey, worker), applicant);
    const [node, names] = await reach(
      Promise.all([cluster.node(nodeId, until.reading), cluster.admittedNames(until.reading)]),
    );
    throwIf(nameProblem(worker, staker, node, names.get(nodeId), recordId), applicant);

    const nowMs = clock.nowMs();
    const next: Worker = {
      nodeId,
      recordId,
      tokenId: applicant.tokenId,
      tokenSequence,
      staker,
      holderKey: applicant.holderKey,
      tier: config.taintNodes ? tier : UNTAINTED,
      incarnation: (worker?.incarnation ?? 0) + 1,
      registeredAtMs: nowMs,
      status: worker?.status ?? { kind: 'admitting' },
      statusSinceMs: worker?.statusSinceMs ?? nowMs,
      lockedAtMs: undefined,
      heldFor: worker?.heldFor,
      host: applicant.host,
    };
    const isHeard = node !== undefined && (await reach(hears(node, until.reading)));
    if (isHeard && worker && isAdmitted(worker)) {
      // Name and taint stay as they were admitted: another tier comes with the next join.
      const same = { ...next, tier: worker.tier };
      await audit.note('worker.registered', registered(same, applicant, false));
      await registry.save({ worker: withStatus(same, memberWith(worker), nowMs) });
      return { worker: same, join: undefined };
    }
    if (isHeard && !worker) {
      // Our store has lost this node, which runs on what it has: its key alone opens no second way in.
      await reach(adopt(next, await isReserved(applicant, next, until.reading), until.writing));
      const adopted = registry.worker(nodeId) ?? next;
      await audit.note('worker.registered', registered(adopted, applicant, false));
      return { worker: adopted, join: undefined };
    }
    const isListed = names.get(nodeId) === next.tier;
    const issued = await issue(applicant, worker, next, node, isListed, until);
    await audit.note('worker.registered', registered(issued.worker, applicant, true));
    return issued;
  }

  /** What follows from the facts; a slashed stake bans whoever shows it. */
  async function judge(applicant: Applicant, worker: Worker | undefined): Promise<void> {
    const { join, isBan } = decide({
      fact: applicant.fact,
      isAdmitted: worker !== undefined && isAdmitted(worker),
      isBreakerTripped: registry.breaker().trippedAtMs !== undefined,
      graceMs: config.factsGraceMs,
      isCordonDue: false,
    });
    if (join.kind === 'admit') return;
    if (isBan) await banSlashed(applicant, worker);
    throw new Refusal(join.code, `node ${applicant.nodeId} is not admitted: ${explain(applicant.fact)}`);
  }

  async function banSlashed(applicant: Applicant, worker: Worker | undefined): Promise<void> {
    const record = applicant.facts?.record;
    if (!record) return;
    // A worker of this record is banned, and evicted, by the reconciler; here only who never was one, and once: what
    // the operator has lifted since stays lifted.
    if (worker?.recordId === record.id) return reconciler.settle(applicant.nodeId);
    if (bannedRecords.has(record.id)) return;
    bannedRecords.add(record.id);
    const all = bansFor(
      { ...applicant, staker: record.staker, recordId: record.id },
      'slashed',
      clock.nowMs(),
    );
    // The name may be somebody else's by now, and the key was never seen to sign for an admitted node.
    const isNameFree = worker === undefined && (await hasNoLiveRecord(applicant.nodeId));
    const bans = all.filter((ban) => ban.subject === 'staker' || (ban.subject === 'node_id' && isNameFree));
    audit.recordLockOut('ban.set', {
      node_id: applicant.nodeId,
      stake_record: record.id,
      reason: 'slashed',
      bans: bans.map((ban) => ban.subject).join(','),
    });
    await registry.decide({ bans });
  }

  async function hasNoLiveRecord(nodeId: string): Promise<boolean> {
    try {
      return (await chain.liveRecordOf(nodeId)) === undefined;
    } catch {
      return false;
    }
  }

  async function hears(node: ClusterNode, signal: AbortSignal | undefined): Promise<boolean> {
    const renewedAtMs = node.isKubeletSilent ? await cluster.leaseRenewedAtMs(node.name, signal) : undefined;
    return isKubeletHeard(node, renewedAtMs, clock.nowMs());
  }

  async function isReserved(
    { nodeId, nodePasswordHash }: Applicant,
    { recordId }: Worker,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const password = await cluster.nodePassword(nodeId, signal);
    return password?.recordId === recordId && password.hash === nodePasswordHash;
  }

  /** Steps 3 to 5: incarnation, password, name, credential. A crash between any two leaves a name nobody can use. */
  async function issue(
    applicant: Applicant,
    worker: Worker | undefined,
    next: Worker,
    node: ClusterNode | undefined,
    isListed: boolean,
    until: Until,
  ): Promise<Admitted> {
    try {
      const reservedAtMs = await reach(reserve(applicant, worker, next, node, isListed, until));
      const credential = await reach(
        cluster.createJoinCredential(
          {
            nodeId: next.nodeId,
            recordId: next.recordId,
            expiresAtMs: clock.nowMs() + config.joinCredentialLifeMs,
          },
          until.writing,
        ),
      );
      const issued: IssuedCredential = {
        id: credential.id,
        issuedAtMs: clock.nowMs(),
        expiresAtMs: credential.expiresAtMs,
        nodeUid: reservedAtMs === undefined ? node?.uid : undefined,
      };
      await audit.note('credential.issued', {
        node_id: next.nodeId,
        credential: issued.id,
        expires_at: new Date(issued.expiresAtMs).toISOString(),
      });
      const joined = withStatus(
        next,
        reservedAtMs === undefined
          ? { kind: 'member', credential: issued }
          : { kind: 'joining', reservedAtMs, credential: issued },
        clock.nowMs(),
      );
      await registry.save({ worker: joined });
      reconciler.settle(next.nodeId);
      return {
        worker: joined,
        join: { credential: credential.credential, expiresAtMs: credential.expiresAtMs },
      };
    } catch (error) {
      await takeBack(next.nodeId);
      throw error;
    }
  }

  /** What was begun is undone now if it can be, else by the reconciler as soon as it can. */
  async function takeBack(nodeId: string): Promise<void> {
    const begun = registry.worker(nodeId);
    if (begun?.status.kind !== 'admitting') return reconciler.settle(nodeId);
    const deadline = AbortSignal.timeout(takeBackDeadlineMs);
    await reconciler.lapse(begun, 'admission_failed', deadline).catch((error: unknown) => {
      log.warn('An admission that failed could not be taken back yet', {
        node: nodeId,
        detail: messageOf(error),
      });
      reconciler.settle(nodeId);
    });
  }

  /**
   * The name is reserved for the one who knows the node password, then admitted. Returns when it was reserved;
   * `undefined` when its Node is there and nothing had to be changed.
   */
  async function reserve(
    applicant: Applicant,
    worker: Worker | undefined,
    next: Worker,
    node: ClusterNode | undefined,
    isListed: boolean,
    { reading, writing: signal }: Until,
  ): Promise<number | undefined> {
    const { nodeId, recordId, tier } = next;
    const isKept = await isReserved(applicant, next, reading);
    // The last moment at which a caller that has gone away leaves no trace.
    reading?.throwIfAborted();
    const earlier = worker && credentialOf(worker);
    if (earlier) await revoke(nodeId, earlier.id, signal);
    if (isKept && worker && isAdmitted(worker)) {
      if (node) {
        if (!isListed) await cluster.admitName({ nodeId, tier }, signal);
        return undefined;
      }
      const { status } = worker;
      // A Secret that had a Node goes with it, and one that is old is swept: either would leave an admitted name free.
      const isFresh = status.kind === 'joining' && clock.nowMs() - status.reservedAtMs < reservationReuseMs;
      if (isListed && isFresh) return status.reservedAtMs;
    }
    if (node && !worker) return adopt(next, isKept, signal);

    await registry.save({ worker: withStatus(next, { kind: 'admitting' }, clock.nowMs()) });
    await audit.note('admission.begun', {
      node_id: nodeId,
      stake_record: recordId,
      seal_token: next.tokenId,
      incarnation: next.incarnation,
    });
    // Between the old password and the new one the name is anybody's: it must not be admitted then, nor have a Node
    // whose certificate a stranger could get.
    await cluster.removeName(nodeId, signal);
    if (node) {
      await cluster.deleteNode({ nodeId, uid: node.uid }, signal);
      await audit.note('node.deleted', { node_id: nodeId, node_uid: node.uid, reason: 'joins_anew' });
    }
    await untilPasswordIsSwept(worker, node, signal);
    const reservedAtMs = clock.nowMs();
    await cluster.reserveNodePassword({ nodeId, hash: applicant.nodePasswordHash, recordId }, signal);
    await audit.note('name.reserved', { node_id: nodeId, stake_record: recordId });
    await cluster.admitName({ nodeId, tier }, signal);
    await audit.note('name.admitted', { node_id: nodeId, tier });
    return reservedAtMs;
  }

  /**
   * k3s deletes the password of a Node that is gone, within two seconds and by its name: a new one that was made
   * meanwhile would go too, and leave an admitted name to whoever comes first.
   */
  async function untilPasswordIsSwept(
    worker: Worker | undefined,
    node: ClusterNode | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const goneAtMs = node ? clock.nowMs() : worker && isOut(worker) ? worker.statusSinceMs : undefined;
    const waitMs = goneAtMs === undefined ? 0 : goneAtMs + passwordSweepMs - clock.nowMs();
    // Never longer: the time of day may have been set back since.
    if (waitMs > 0) await clock.sleep(Math.min(waitMs, passwordSweepMs), signal);
  }

  /** A Node that carries this record's mark and password, of which our store has lost the worker. */
  async function adopt(next: Worker, isOwn: boolean, signal: AbortSignal | undefined): Promise<undefined> {
    if (!isOwn)
      throw new Refusal('name_not_ours', `the Node ${next.nodeId} was made with another node password`);
    await audit.note('node.adopted', { node_id: next.nodeId, stake_record: next.recordId });
    await registry.save({
      worker: withStatus(next, { kind: 'member', credential: undefined }, clock.nowMs()),
    });
    await cluster.admitName({ nodeId: next.nodeId, tier: next.tier }, signal);
  }

  async function revoke(nodeId: string, id: string, signal: AbortSignal | undefined): Promise<void> {
    await cluster.revokeJoinCredential(id, signal);
    audit.recordLockOut('credential.revoked', { node_id: nodeId, credential: id, reason: 'replaced' });
  }

  function noteRefusal({ nodeId, tokenId, requestId }: Applicant, { problem }: Refusal): void {
    refusals.count(
      'admission.refused',
      { reason: problem, nodeId },
      { request_id: requestId, node_id: nodeId, seal_token: tokenId },
    );
  }

  return {
    preview(nodeId, staker) {
      const worker = registry.worker(nodeId);
      if (registry.breaker().trippedAtMs !== undefined) return 'breaker_tripped';
      const own = policyProblem(nodeId, staker, worker) ?? bindingProblem(nodeId, staker, undefined, worker);
      // Which names are the operator's is told only to who has staked for one: anybody can ask this.
      if (own || !config.admit.tellTakenNames) return own;
      const nodes = reconciler.nodes();
      const names = reconciler.names();
      if (!nodes || !names) return 'cluster_unavailable';
      const node = nodes.get(nodeId);
      // Whose mark a Node carries is judged when he registers.
      return nameProblem(worker, staker, node, names.get(nodeId), node?.stakeRecordId);
    },
    async admit(applicant, { caller, gateway } = {}) {
      const { nodeId } = applicant;
      const until: Until = { reading: anyOf(caller, gateway), writing: gateway };
      if (turns.waiting(nodeId) > 0)
        throw new Refusal('rate_limited', 'a registration of this node waits already', {
          retryAfterMs: 2_000,
        });
      return turns.run(nodeId, () => enter(applicant, until), until.reading);
    },
  };

  function enter(applicant: Applicant, until: Until): Promise<Admitted> {
    const entered = gate.enter(
      () => locks.run(applicant.nodeId, () => admitNoted(applicant, until), until.reading),
      until.reading,
    );
    if (!entered) throw new Refusal('overloaded', 'too many nodes register at once', { retryAfterMs: 2_000 });
    return entered;
  }

  /** The caller holds the lock of the node, and not for long: an eviction of it waits for the same lock. */
  async function admitNoted(applicant: Applicant, { reading, writing }: Until): Promise<Admitted> {
    const deadline = AbortSignal.timeout(admissionDeadlineMs);
    try {
      reading?.throwIfAborted();
      return await admitLocked(applicant, {
        reading: anyOf(reading, deadline),
        writing: anyOf(writing, deadline),
      });
    } catch (cause) {
      const error = deadline.aborted
        ? new Refusal('cluster_unavailable', 'the cluster took too long', { cause, retryAfterMs: 2_000 })
        : cause;
      if (error instanceof Refusal) noteRefusal(applicant, error);
      throw error;
    } finally {
      entering.delete(applicant.nodeId);
    }
  }
}

function anyOf(...signals: ReadonlyArray<AbortSignal | undefined>): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

/** Who stands behind the applicant: as the chain says, or, while it is away, as it said when he was admitted. */
function standing(
  { facts, nodeId }: Applicant,
  worker: Worker | undefined,
): Pick<Worker, 'staker' | 'recordId' | 'tokenSequence' | 'tier'> {
  if (facts?.token && facts.record)
    return {
      staker: facts.record.staker,
      recordId: facts.record.id,
      tokenSequence: facts.token.sequence,
      tier: tierNow(facts.token.gatewayTier, facts.record.stakeMist, facts.cluster.parameters.tiersMist),
    };
  if (worker) return worker;
  throw new Refusal('chain_unavailable', `nothing is known of the stake of node ${nodeId} yet`);
}

/** That of the token, which is as of its mint, but no higher than the stake has it today (`cluster::tier_of`). */
function tierNow(
  minted: GatewayTier,
  stakeMist: bigint,
  [, standard, premium]: readonly [bigint, bigint, bigint],
): GatewayTier {
  const today = stakeMist >= premium ? 2 : stakeMist >= standard ? 1 : 0;
  return GATEWAY_TIERS[Math.min(today, GATEWAY_TIERS.indexOf(minted))] ?? 'basic';
}

function isOut({ status }: Worker): boolean {
  return status.kind === 'evicted' || (status.kind === 'lapsed' && status.reason === 'node_deleted');
}

function memberWith(worker: Worker) {
  return { kind: 'member', credential: credentialOf(worker) } as const;
}

function registered(worker: Worker, applicant: Applicant, hasCredential: boolean) {
  return {
    request_id: applicant.requestId,
    node_id: worker.nodeId,
    stake_record: worker.recordId,
    seal_token: worker.tokenId,
    incarnation: worker.incarnation,
    credential: hasCredential,
  };
}

function explain(fact: StakeFact): string {
  switch (fact.kind) {
    case 'good':
      return 'too many nodes went at once, and the operator has to look first';
    case 'unknown':
      return 'the facts on chain cannot be read now';
    case 'bad':
      return `its stake or Seal token does not stand (${problemOf(fact.reason)})`;
    default:
      return fact satisfies never;
  }
}

const bindingDetails: Partial<Record<ProblemCode, string>> = {
  staker_not_admitted: 'the operator of this cluster does not admit this staker',
  node_id_not_admitted: 'the operator of this cluster does not admit node ids of this form',
  cluster_full: 'the cluster has as many staked nodes as its operator admits',
  banned: 'the node id, the node key or the staker is banned; only the operator of the cluster lifts a ban',
  locked: 'the operator has locked registrations of this node; only he unlocks it',
  name_taken:
    'this node id is still bound to an earlier stake whose node is being removed, or to another staker',
  name_not_ours: 'a node of this name is in the cluster that no stake admitted: choose another node id',
};

function throwIf(problem: ProblemCode | undefined, { nodeId }: Applicant): void {
  if (!problem) return;
  throw new Refusal(problem, `node ${nodeId} is not admitted: ${bindingDetails[problem] ?? problem}`);
}

/** The cluster's failures as the caller sees them: later again, and no details of the inside. */
async function reach<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    // An administrator was faster.
    if (cause instanceof DaasError && cause.code === 'DAAS_NAME_RESERVED')
      throw new Refusal('name_not_ours', 'the operator has just taken the name for a node of his own', {
        cause,
      });
    if (cause instanceof DaasError && cause.isRetryable && !(cause instanceof Refusal))
      throw new Refusal('cluster_unavailable', 'the cluster cannot be reached now', {
        cause,
        retryAfterMs: 2_000,
      });
    throw cause;
  }
}
