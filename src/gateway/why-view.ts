import { messageOf } from '#base';
import type { ChainReader, KubernetesPort, VouchTable } from '#domain';
import type { Admission } from './admission.ts';
import { type AuditedDecision, lastDecisions } from './audit-tail.ts';
import { type Ban, banKey } from './bans.ts';
import { isStanding } from './claims.ts';
import type { StakeFact } from './decision.ts';
import { banEntry, claimEntry, nodeEntry, type ViewSources } from './operator-views.ts';
import { whatLetsItIn } from './why-advice.ts';
import type { WhyReply } from './why-wire.ts';
import { credentialOf, type Worker } from './worker.ts';
import { checksIn } from './worker-attestation.ts';

export interface WhySources extends ViewSources {
  readonly admission: Pick<Admission, 'preview'>;
  readonly chain: Pick<ChainReader, 'liveRecordOf' | 'records'>;
  readonly kubernetes: Pick<KubernetesPort, 'admittedName' | 'nodePassword'>;
  readonly auditPath: string;
  /** `undefined`: certificates are not vouched for. */
  readonly vouches?: VouchTable | undefined;
}

/** What others answer about the name; one that does not answer in time makes the page shorter, not absent. */
interface Asked {
  readonly liveRecord: string | undefined;
  readonly liveStaker: string | undefined;
  readonly liveRecordError: string | undefined;
  /** `undefined`: the API server did not answer. */
  readonly listed: { readonly listing: string | undefined } | undefined;
  readonly password: 'ours' | 'foreign' | 'none' | 'unread';
  readonly decisions: readonly AuditedDecision[];
}

const patienceMs = 3_000;

/** Everything that is known of a name, and what would let its node in. */
export async function whyView(sources: WhySources, nodeId: string): Promise<WhyReply> {
  const { registry, reconciler, facts, clock, admission, vouches } = sources;
  const asked = await ask(sources, nodeId);
  const worker = registry.worker(nodeId);
  const fact = factNow(sources, worker, asked);
  const staker = worker?.staker ?? asked.liveStaker;
  const bans = bansOn(registry.bans(), { nodeId, holderKey: worker?.holderKey, staker });
  const node = reconciler.nodes()?.get(nodeId);
  const credential = worker && credentialOf(worker);
  const claim = registry.claims().get(nodeId);
  const heardAtMs = facts.heardAtMs();
  const advice = whatLetsItIn({
    nodeId,
    worker,
    fact,
    bans,
    ruleProblem: staker === undefined ? undefined : admission.preview(nodeId, staker),
    hasNode: node !== undefined,
    isNodeReady: node?.isReady === true,
  });
  return {
    timestamp: clock.nowMs(),
    node_id: nodeId,
    summary: summaryOf(worker, fact),
    worker: worker ? nodeEntry(sources, worker) : null,
    facts: {
      kind: fact === undefined ? 'none' : fact.kind === 'bad' ? fact.reason : fact.kind,
      certain: fact?.kind === 'bad' && fact.isCertain === true,
      age_ms: worker ? (facts.readingOf(worker)?.ageMs ?? null) : null,
      heard_ms: heardAtMs === undefined ? null : clock.monotonicMs() - heardAtMs,
      live_record: asked.liveRecord ?? null,
      live_record_error: asked.liveRecordError ?? null,
    },
    token: tokenOf(sources, worker),
    credential: credential ? { id: credential.id, expires_at: credential.expiresAtMs } : null,
    bans: bans.map(banEntry),
    policy: {
      listing: asked.listed?.listing ?? null,
      read: asked.listed !== undefined,
    },
    claim: claim && isStanding(claim, clock.nowMs()) ? claimEntry(sources, claim) : null,
    password: asked.password,
    vouches:
      vouches?.ofNode(nodeId).map(({ identity, fingerprint, notAfterMs }) => ({
        identity,
        fingerprint,
        not_after: notAfterMs,
      })) ?? null,
    node: node
      ? {
          uid: node.uid,
          ready: node.isReady,
          stake_record: node.stakeRecordId ?? null,
          held_for: node.cordonedFor ?? null,
          created_at: node.createdAtMs,
        }
      : null,
    evidence: evidenceProblem(worker, asked.decisions),
    decisions: asked.decisions.map(({ at, event, facts: noted }) => ({ at, event, facts: { ...noted } })),
    lets_it_in: advice.map(({ command, ...rest }) => ({ ...rest, command: command ?? null })),
  };
}

/** What was decided last about its registrations; else what its record says of the last one. */
function evidenceProblem(
  worker: Worker | undefined,
  decisions: readonly AuditedDecision[],
): WhyReply['evidence'] {
  const last = decisions.find(({ event }) => event === 'admission.refused' || event === 'worker.registered');
  const reason = last?.event === 'admission.refused' ? last.facts.reason : undefined;
  if (reason === 'evidence_missing' || reason === 'evidence_refused') {
    const checks = String(last?.facts.checks ?? '')
      .split(' ')
      .filter((check) => check !== '');
    const problem = reason === 'evidence_missing' ? 'it shows no evidence of its machine' : 'it is refused';
    return { problem, checks, keeps_out: true };
  }
  const problem = worker?.attestation?.problem;
  return problem === undefined ? null : { problem, checks: [...checksIn(problem)], keeps_out: false };
}

async function ask({ chain, kubernetes, auditPath }: WhySources, nodeId: string): Promise<Asked> {
  const signal = AbortSignal.timeout(patienceMs);
  const [live, listed, password, decisions] = await Promise.all([
    liveRecord(chain, nodeId, signal),
    kubernetes.admittedName(nodeId, signal).then(
      (listing) => ({ listing }),
      () => undefined,
    ),
    kubernetes.nodePassword(nodeId, signal).then(
      (found) => (found === undefined ? 'none' : found.recordId === undefined ? 'foreign' : 'ours'),
      () => 'unread' as const,
    ),
    lastDecisions(auditPath, nodeId).catch(() => []),
  ]);
  return { ...live, listed, password, decisions };
}

async function liveRecord(
  chain: WhySources['chain'],
  nodeId: string,
  signal: AbortSignal,
): Promise<Pick<Asked, 'liveRecord' | 'liveStaker' | 'liveRecordError'>> {
  try {
    const id = await chain.liveRecordOf(nodeId, signal);
    const record = id === undefined ? undefined : (await chain.records([id], signal)).get(id);
    return { liveRecord: id, liveStaker: record?.staker, liveRecordError: undefined };
  } catch (error) {
    return { liveRecord: undefined, liveStaker: undefined, liveRecordError: messageOf(error) };
  }
}

/** Of a name that this gateway has never admitted, all that can be said is whether a live stake holds it. */
function factNow(
  { facts, registry }: WhySources,
  worker: Worker | undefined,
  { liveRecord: live, liveRecordError }: Asked,
): StakeFact | undefined {
  if (worker) return facts.factOf(worker, registry.lastHeartbeat(worker.nodeId)?.goodAtMs);
  if (liveRecordError !== undefined) return { kind: 'unknown', ageMs: Number.POSITIVE_INFINITY };
  return live === undefined ? undefined : { kind: 'good' };
}

function bansOn(
  bans: ReadonlyMap<string, Ban>,
  who: {
    readonly nodeId: string;
    readonly holderKey: string | undefined;
    readonly staker: string | undefined;
  },
): readonly Ban[] {
  return (
    [
      ['node_id', who.nodeId],
      ['node_key', who.holderKey],
      ['staker', who.staker],
    ] as const
  ).flatMap(([subject, value]) => {
    const ban = value === undefined ? undefined : bans.get(banKey({ subject, value }));
    return ban ? [ban] : [];
  });
}

function tokenOf({ facts }: WhySources, worker: Worker | undefined): WhyReply['token'] {
  const token = worker && facts.readingOf(worker)?.token;
  if (!token) return null;
  return {
    id: token.id,
    sequence: token.sequence.toString(),
    expires_at_epoch: token.expiresAtEpoch.toString(),
    tier: token.gatewayTier,
  };
}

function summaryOf(worker: Worker | undefined, fact: StakeFact | undefined): string {
  if (!worker)
    return fact === undefined
      ? 'no stake holds this name, and this gateway has never admitted it'
      : 'this gateway has never admitted this name: its host has not registered with success';
  if (worker.heldFor !== undefined)
    return `it is in the cluster; the tripped breaker holds its eviction (${worker.heldFor})`;
  switch (worker.status.kind) {
    case 'member':
      return 'it is in the cluster';
    case 'joining':
      return 'it is admitted, and its Node has not come yet';
    case 'admitting':
      return 'its admission is under way';
    case 'lapsed':
      return `its admission has ended without guilt (${worker.status.reason})`;
    case 'evicting':
      return `it is being evicted (${worker.status.reason})`;
    case 'evicted':
      return `it is out: evicted (${worker.status.reason})`;
    default:
      return worker.status satisfies never;
  }
}
