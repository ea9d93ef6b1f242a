import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { AuthorizerProgram } from '#authorizer';
import { type Clock, errorFields, inSlices, type Lifetime, type Log } from '#base';
import type {
  ChainReader,
  ChangeFollower,
  KubernetesPort,
  StakedNodeBoard,
  TenantKeeper,
  VouchTable,
} from '#domain';
import type { Leadership, Store } from '#state';
import { type Acting, createActing } from './acting.ts';
import { type Admission, createAdmission } from './admission.ts';
import type { AuditAnchors } from './anchor-check.ts';
import type { EvidenceDesk } from './attestation-route.ts';
import { type Audit, openAudit } from './audit.ts';
import { createAuditSigner } from './audit-signer.ts';
import { auditedGeneration } from './audit-tail.ts';
import { isShutOut } from './bans.ts';
import type { ChainProbe } from './chain-probe.ts';
import { type Challenges, createChallenges } from './challenge.ts';
import { Clones } from './clones.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { type DiskReserve, openDiskReserve } from './disk-reserve.ts';
import { createFactCache, type FactCache } from './fact-cache.ts';
import { type GatewayState, type OpenStateObjects, openGatewayState } from './gateway-state.ts';
import { type KnownLogins, openKnownLogins } from './known-logins.ts';
import { createDepartures, type Departures } from './leaving.ts';
import { createLoadShedding, type LoadShedding } from './load-shedding.ts';
import { createLocks, type Locks } from './locks.ts';
import { createLogins, type Logins } from './logins.ts';
import { type LoopDelay, watchLoopDelay } from './loop-delay.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { ProofTaker } from './proof-route.ts';
import { createRateLimit } from './rate-limit.ts';
import { createReconciler, type Reconciler } from './reconciler.ts';
import { createRefusalTally, type RefusalTally } from './refusal-tally.ts';
import { openRegistry, type Registry } from './registry.ts';
import { type CertificateDesk, createCertificateDesk } from './show-certificates.ts';
import { formatKey, refuseNewer, writeFormat } from './state-format.ts';
import {
  auditDifference,
  createGenerations,
  type Generation,
  type Generations,
  noteRestored,
  type Restored,
  readGeneration,
  refuseRolledBack,
} from './state-generation.ts';
import type { TenantDeskOptions } from './tenant-desk.ts';
import { createTokenUsage, type TokenUsage } from './token-usage.ts';
import { createVerifier, type Verifier } from './verifier.ts';
import { createVouchTable } from './vouch-table.ts';
import { createVouchingSight, type VouchingSight } from './vouching-sight.ts';
import type { MachineJudge } from './worker-attestation.ts';

export interface GatewayOptions {
  readonly config: RunnableGatewayConfig;
  /** The cluster object that the chain layer reads: facts of other clusters do not count. */
  readonly clusterId: string;
  readonly chain: ChainReader;
  readonly follower: ChangeFollower;
  readonly kubernetes: KubernetesPort;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ x < 1; for jitter, nothing secret. */
  readonly random?: () => number;
  /** What `chain` reads is held to the validators’ signatures (a trust pin); without it the breaker counts everything. */
  readonly isProven?: boolean;
  /** How many full nodes have just shown nothing newer of the cluster; `undefined`: nothing that `chain` reads is proven. */
  readonly endpointsAgreed?: (() => number) | undefined;
  /** Pays for transactions that show what a full node hides; without it nothing is paid. */
  readonly probe?: ChainProbe | undefined;
  /** What was anchored of the audit file of this gateway; without it nothing is compared. */
  readonly anchors?: AuditAnchors | undefined;
  /** Why what was proven is not written down; `undefined`: it is. */
  readonly proofFailure?: (() => string | undefined) | undefined;
  /** How many chain endpoints are configured: with one alone, its operator can hide changes. */
  readonly endpoints?: number;
  /** The certificates that live stakes vouch for; those in the registry unless given. */
  readonly vouches?: VouchTable;
  /** The program of the authorizer's process; needed when `config.authorizer.mode` is not off. */
  readonly authorizerProgram?: AuthorizerProgram;
  /** Makes the namespaces of people; without it nobody gets one. */
  readonly tenants?: (Pick<TenantDeskOptions, 'roleOf'> & { readonly keeper: TenantKeeper }) | undefined;
  /** Where the workers are shown as StakedNodes; without it they are not. */
  readonly stakedNodes?: StakedNodeBoard | undefined;
  /** Takes proofs that anybody brings; without it there is no such route. */
  readonly takeProof?: ProofTaker;
  /** Makes evidence of what this gateway runs; without it the gateway says that it makes none. */
  readonly evidence?: EvidenceDesk | undefined;
  /** Ed25519, the key that the chain names for this gateway: signs the audit file; without it nothing does. */
  readonly signingKey?: KeyObject | undefined;
  /** The state, opened; the configuration says which it is unless given. */
  readonly state?: GatewayState | undefined;
  /** Needed when `config.state.engine` is kubernetes. */
  readonly openStateObjects?: OpenStateObjects | undefined;
  /** Told which leadership this gateway works under as soon as that is known. */
  readonly onLeadership?: ((leadership: Leadership) => void) | undefined;
  /** Judges what workers show of their machines; needed when `config.admit.attestation.mode` is not off. */
  readonly machines?: MachineJudge | undefined;
  /** How far behind the event loop is; that of this process unless given. */
  readonly loopDelay?: LoopDelay | undefined;
  /** Of the program whose process this is, for `/metrics`. */
  readonly version?: string;
  /** Shown by `/readyz` and `gateway nodes`, such as the state of the chain endpoints. */
  readonly figures?: () => Readonly<Record<string, unknown>>;
}

/** Everything that is written: state, audit file, and the counts that become audit lines. */
export interface Records {
  readonly state: GatewayState;
  readonly acting: Acting;
  readonly reserve: DiskReserve;
  readonly registry: Registry;
  readonly audit: Audit;
  readonly refusals: RefusalTally;
  /** Logins and join credentials that counted. */
  readonly acceptances: RefusalTally;
  readonly known: KnownLogins;
  readonly usage: TokenUsage;
  readonly metrics: Metrics;
  readonly shedding: LoadShedding;
  /** What the operator has restored before this start, if no checkpoint has said so yet. */
  readonly restored: Restored | undefined;
}

/** The parts that decide and act. */
export interface Deciders {
  readonly locks: Locks;
  readonly facts: FactCache;
  readonly reconciler: Reconciler;
  readonly challenges: Challenges;
  readonly admission: Admission;
  readonly verifier: Verifier;
  readonly logins: Logins;
  readonly sight: VouchingSight;
  /** Whether a claimed name is closed, or its certificate counts for nothing. */
  readonly isVouchingEnforced: () => boolean;
  readonly vouches: VouchTable;
  readonly certificates: CertificateDesk;
  readonly departures: Departures;
}

/** Heartbeats that the gateway asks for itself must never be rate-limited: this many per interval are accepted. */
const heartbeatsPerInterval = 3;

export function auditPathOf({ stateDir }: Pick<RunnableGatewayConfig, 'stateDir'>): string {
  return join(stateDir, 'audit.jsonl');
}

/**
 * Opens state and audit file; `life` closes them, after the last lines are written.
 * @throws `DAAS_GATEWAY_STORE_BUSY`, `DAAS_GATEWAY_STORE_DAMAGED`, `DAAS_STATE_…`
 */
export async function openRecords(options: GatewayOptions, life: Lifetime): Promise<Records> {
  const { config, clock, log, version } = options;
  const { stateDir, diskReserveBytes } = config;
  const nowMs = () => clock.nowMs();
  const state = life.use('the state', options.state ?? (await openGatewayState(options)));
  const { store } = state;
  if (store.isLocal) await writeFormat(store);
  else refuseNewer(await store.read(formatKey));
  options.onLeadership?.(state.leadership);
  const reserve = await openDiskReserve(join(stateDir, 'reserve'), diskReserveBytes);
  const registry = await openRegistry(store, reserve);
  const metrics = life.use('the metrics', createMetrics({ isOwnProcess: version !== undefined }));
  await inSlices(registry.workers(), (worker) => metrics.workerChanged(undefined, worker));
  registry.onWorkerChange(metrics.workerChanged);
  const found = await readGeneration(store);
  const { leadership } = state;
  const { audit, generations } = await openWatchedAudit(
    options,
    { found, leadership, store, reserve, metrics },
    life,
  );
  const refusals = createRefusalTally({ audit, nowMs, onRefusal: metrics.refused });
  const acceptances = createRefusalTally({ audit, nowMs, onRefusal: metrics.refused });
  const known = await openKnownLogins({ store: writtenIf(() => leadership.isLeading(), store), log });
  const { kubernetes } = options;
  const shared = { leadership, store, registry, generations, kubernetes, audit };
  const acting = createActing({ ...shared, clock, log });
  const usage = createTokenUsage({ audit, nowMs, heartbeats: config.audit.heartbeats });
  const delay = options.loopDelay ?? life.use('the watch on the event loop', watchLoopDelay());
  const shedding = createLoadShedding({ delay, config, clock, log });
  life.defer('the last heartbeats', () =>
    registry.flush().catch((error: unknown) => {
      log.error('The last heartbeats could not be written', errorFields(error));
    }),
  );
  life.defer('the last audit line', async () => {
    refusals.flush({ isLast: true });
    acceptances.flush({ isLast: true });
    while (usage.flush({ isLast: true })) await audit.flush();
    audit.record('gateway.stopped', {});
    await audit.flush();
  });
  const opened = { state, acting, reserve, registry, audit, refusals, acceptances, known, usage, metrics };
  return { ...opened, shedding, restored: found?.restored };
}

interface Watched extends Pick<Records, 'reserve' | 'metrics'> {
  /** What the state says of its age. */
  readonly found: Generation | undefined;
  readonly leadership: Leadership;
  readonly store: Store;
}

/**
 * Opens the audit file, and compares it with the state: each remembers how far the other has got.
 * @throws `DAAS_STATE_ROLLED_BACK`: a state that was put back has forgotten bans, so nothing is admitted by it.
 */
async function openWatchedAudit(
  { config, clock, log, signingKey, anchors }: GatewayOptions,
  { found, leadership, store, reserve, metrics }: Watched,
  life: Lifetime,
): Promise<{ readonly audit: Audit; readonly generations: Generations }> {
  const { stateDir, gatewayId } = config;
  const { maxFileBytes, maxFiles } = config.audit;
  const signer = signingKey && createAuditSigner(signingKey, gatewayId);
  const audited = await auditedGeneration(auditPathOf({ stateDir }), signer?.mac);
  const generations = createGenerations({
    store,
    gatewayId,
    mayWrite: () => leadership.isLeading() && !reserve.isSpent(),
    nowMs: () => clock.nowMs(),
    seenCount: audited.count,
  });
  const shortened = (detail: string) =>
    log.error('The audit file has lost lines: somebody has shortened or replaced it, or it is an old copy', {
      event: 'gateway.audit-shortened',
      detail,
    });
  const audit = life.use(
    'the audit file',
    await openAudit(auditPathOf({ stateDir }), () => clock.nowMs(), {
      reserve,
      maxFileBytes,
      maxFiles,
      isAnchored: anchors !== undefined,
      onEvent: metrics.decided,
      signer,
      onOpened: (head) => {
        const difference = auditDifference(found, { gatewayId, head, audited });
        if (difference !== undefined) shortened(difference);
      },
      onLoss: (lines) => shortened(`${lines} lines that a checkpoint covers are not there`),
      anchor: (head, sync) => generations.anchor(head, sync),
    }),
  );
  try {
    if (store.isLocal) noteRestored(audit, generations.lead(found));
    else refuseRolledBack(found, audited.count);
  } catch (error) {
    audit.record('state.rolled_back', { generation: found?.count ?? 0, seen: audited.count });
    throw error;
  }
  return { audit, generations };
}

/** A login that a gateway sees while another leads is known to it alone, until it restarts. */
function writtenIf(mayWrite: () => boolean, store: Store): Pick<Store, 'list' | 'write'> {
  return {
    list: (prefix) => store.list(prefix),
    write: async (changes) => {
      if (mayWrite()) await store.write(changes);
    },
  };
}

export function createDeciders(options: GatewayOptions, records: Records, startedAtMs: number): Deciders {
  const { config, clusterId, chain, follower, kubernetes, clock, log, random = Math.random } = options;
  const { registry, audit, refusals, acceptances, known, usage } = records;
  const { gatewayId } = config;
  const { isProven = false } = options;
  const sight = createVouchingSight(kubernetes, clock);
  const isVouchingEnforced = () => sight.isEnforced();
  const locks = createLocks();
  const facts = createFactCache({ chain, follower, clusterId, isProven, clock, log, registry, random });
  const shared = { kubernetes, registry, audit, locks, clock, log };
  const isActing = () => records.acting.isActing();
  const reconciler = createReconciler({ ...shared, facts, random, config, isActing });
  const challenges = createChallenges(gatewayId);
  const clones = new Clones({
    registry,
    audit,
    clock,
    log,
    node: (nodeId) => reconciler.nodes()?.get(nodeId),
    heartbeatIntervalMs: config.heartbeatIntervalMs,
  });
  if (config.admit.attestation.mode !== 'off' && !options.machines)
    throw new RangeError('startGateway: gateway.admit.attestation needs machines');
  const admission = createAdmission({
    ...shared,
    config,
    chain,
    reconciler,
    refusals,
    isVouchingEnforced,
    endpointsAgreed: options.endpointsAgreed,
    probe: options.probe,
    machines: options.machines,
    clones,
  });
  const verifier = createVerifier({
    ...rateLimitsOf(config),
    facts,
    registry,
    challenges,
    audit,
    refusals,
    usage,
    clock,
    startedAtMs,
    clones,
  });
  const logins = createLogins({
    clusterId,
    facts,
    isBanned: (wallet) => isShutOut(registry.bans(), wallet),
    refusals,
    acceptances,
    known,
    clock,
    factsGraceMs: () => config.factsGraceMs,
    lookUps: createRateLimit({ ratePerSecond: config.limits.lookupRate, burst: config.limits.lookupBurst }),
    ownLookUps: createRateLimit({ ratePerSecond: config.limits.tokenRate, burst: config.limits.tokenBurst }),
  });
  const vouches = createVouchTable(registry);
  const certificates = createCertificateDesk({ ...shared, refusals, reconciler, vouches });
  const departures = createDepartures({ registry, reconciler, audit });
  const deciding = { locks, facts, reconciler, challenges, admission, verifier, logins };
  return { ...deciding, sight, isVouchingEnforced, vouches, certificates, departures };
}

function rateLimitsOf({ limits, heartbeatIntervalMs }: RunnableGatewayConfig) {
  const asked = (heartbeatsPerInterval * 1_000) / heartbeatIntervalMs;
  return {
    strangers: createRateLimit({ ratePerSecond: limits.strangerRate, burst: limits.strangerBurst }),
    allStrangers: createRateLimit({ ratePerSecond: limits.lookupRate, burst: limits.lookupBurst }),
    tokens: createRateLimit({
      ratePerSecond: Math.max(limits.tokenRate, asked),
      burst: limits.tokenBurst,
    }),
    registrations: createRateLimit({ ratePerSecond: limits.nodeRate, burst: limits.nodeBurst }),
  };
}
