import type { z } from 'zod';
import type { Clock } from '#base';
import { type Ban, banOf } from './bans.ts';
import {
  BREAKER_WINDOW_MS,
  breakerLimit,
  countedRemovals,
  removalsInWindow,
  stakersThatCount,
} from './breaker.ts';
import { type Claim, effectOf, isStanding } from './claims.ts';
import type { FactCache } from './fact-cache.ts';
import { CERTIFICATE_LIFE_MS } from './name-history.ts';
import type {
  BanEntry,
  BansReply,
  BreakerReply,
  ClaimEntry,
  NodeEntry,
  NodesReply,
} from './operator-wire.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import type { TokenUsage } from './token-usage.ts';
import { isAdmitted, type Worker } from './worker.ts';

/** What the operator's views are made from. */
export interface ViewSources {
  readonly registry: Registry;
  readonly reconciler: Reconciler;
  readonly facts: FactCache;
  readonly usage: TokenUsage;
  readonly gatewayId: string;
  readonly clock: Clock;
  readonly isVouchingEnforced?: () => boolean;
}

const mostClaimsShown = 100;

/** Nodes and claimed names; what is known of the chain is added by the caller. */
export function nodesView(
  sources: ViewSources,
): Omit<z.infer<typeof NodesReply>, 'chain_endpoints' | 'chain_proof' | 'chain_probe'> {
  const { registry, clock } = sources;
  const claims = [...registry.claims().values()].filter((claim) => isStanding(claim, clock.nowMs()));
  const newest = claims.toSorted((left, right) => right.seenAtMs - left.seenAtMs);
  return {
    claims_count: claims.length,
    claims: newest.slice(0, mostClaimsShown).map((claim) => claimEntry(sources, claim)),
    timestamp: sources.clock.nowMs(),
    gateway: gatewayEntry(sources),
    nodes: sources.registry
      .workers()
      .toSorted((left, right) => (left.nodeId < right.nodeId ? -1 : 1))
      .map((worker) => nodeEntry(sources, worker)),
  };
}

function gatewayEntry({ facts, gatewayId }: ViewSources): z.infer<typeof NodesReply>['gateway'] {
  const own = facts.cluster()?.gateways.find(({ id }) => id === gatewayId);
  return own ? { id: own.id, tier: own.tier, attestation_kind: own.attestationKind } : null;
}

export function bansView({ registry, clock }: ViewSources): z.infer<typeof BansReply> {
  return {
    timestamp: clock.nowMs(),
    bans: [...registry.bans().values()].map(banEntry),
  };
}

export function banEntry({ sinceMs, recordId, ...ban }: Ban): BanEntry {
  return { ...ban, since: sinceMs, stake_record: recordId ?? null };
}

export function breakerView({ registry, clock }: ViewSources): z.infer<typeof BreakerReply> {
  const state = registry.breaker();
  const nowMs = clock.nowMs();
  const removals = removalsInWindow(state, nowMs);
  const stakers = new Set([
    ...stakersThatCount(registry.workers()),
    ...removals.map(({ staker, nodeId }) => staker ?? nodeId),
  ]);
  return {
    timestamp: nowMs,
    tripped_at: state.trippedAtMs ?? null,
    limit: breakerLimit(stakers.size),
    counted: countedRemovals(removals),
    window_ms: BREAKER_WINDOW_MS,
    removals: removals.map(({ nodeId, staker, atMs }) => ({
      node_id: nodeId,
      staker: staker ?? null,
      at: atMs,
    })),
    held: heldWorkers(registry).map(({ nodeId }) => nodeId),
  };
}

export function claimEntry(
  { registry, facts, clock, isVouchingEnforced = () => false }: ViewSources,
  claim: Claim,
): ClaimEntry {
  const worker = registry.worker(claim.nodeId);
  return {
    node_id: claim.nodeId,
    at: claim.seenAtMs,
    credentials: claim.credentials.map(({ id, nodeId }) => `${id} of ${nodeId}`),
    other_credentials: claim.otherCredentials,
    effect: effectOf(claim, {
      worker,
      stakedAtMs: worker && facts.recordOf(worker)?.stakedAtMs,
      isVouchingEnforced: isVouchingEnforced(),
      nowMs: clock.nowMs(),
    }),
    until: claim.seenAtMs + CERTIFICATE_LIFE_MS,
  };
}

/** The workers whose eviction the breaker holds. */
export function heldWorkers(registry: Registry): Worker[] {
  return registry.workers().filter((worker) => worker.heldFor !== undefined);
}

export function nodeEntry(sources: ViewSources, worker: Worker): NodeEntry {
  const { registry, facts, reconciler } = sources;
  const lastHeartbeat = registry.lastHeartbeat(worker.nodeId);
  const fact = facts.factOf(worker, lastHeartbeat?.goodAtMs);
  const node = reconciler.nodes()?.get(worker.nodeId);
  return {
    node_id: worker.nodeId,
    status: worker.status.kind,
    reason: 'reason' in worker.status ? worker.status.reason : null,
    since: worker.statusSinceMs,
    tier: worker.tier,
    staker: worker.staker,
    stake_record: worker.recordId,
    seal_token: worker.tokenId,
    holder_key: worker.holderKey,
    incarnation: worker.incarnation,
    fact: fact.kind === 'bad' ? fact.reason : fact.kind,
    held_for: worker.heldFor ?? null,
    locked: worker.lockedAtMs !== undefined,
    cloned_since: worker.clone?.sinceMs ?? null,
    banned: banOf(registry.bans(), { ...worker, isKnownName: true }) !== undefined,
    node: node ? { uid: node.uid, ready: node.isReady } : null,
    last_heartbeat: lastHeartbeat?.lastHeartbeatMs ?? null,
    agent_state: lastHeartbeat?.agentState ?? null,
    // The pods of a node that is not admitted are gone, whatever its last heartbeat reported.
    running_pods: isAdmitted(worker) ? (lastHeartbeat?.runningPods ?? null) : null,
    host: { ...worker.host },
    stake: stakeOf(sources, worker),
    use: useOf(sources, worker),
    attestation: attestationOf(worker),
  };
}

function stakeOf({ facts }: ViewSources, worker: Worker): NodeEntry['stake'] {
  const record = facts.recordOf(worker);
  if (!record) return null;
  return {
    status: record.status,
    stake_mist: record.stakeMist.toString(),
    slashed_mist: record.slashedMist.toString(),
    slash_reason: record.slashReason,
  };
}

function attestationOf({ attestation }: Worker): NodeEntry['attestation'] {
  if (!attestation) return null;
  const { kind, measurement, covers, problem, boundKey, judgedAtMs } = attestation;
  return {
    kind,
    measurement: measurement ?? null,
    covers: covers ?? null,
    problem: problem ?? null,
    bound_key: boundKey ?? null,
    judged_at: judgedAtMs,
  };
}

function useOf({ usage }: ViewSources, { nodeId }: Worker): NodeEntry['use'] {
  const use = usage.of(nodeId);
  return {
    registrations: use.registrations,
    first_registration: use.sinceMs ?? null,
    addresses: [...use.addresses],
    superseded_use: use.supersededAtMs ?? null,
  };
}
