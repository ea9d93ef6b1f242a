import type { Clock } from '#base';
import type { Acting } from './acting.ts';
import type { Audit } from './audit.ts';
import type { AuthorizerFeed } from './authorizer-feed.ts';
import type { ClaimWatch } from './claim-watch.ts';
import type { DiskReserve } from './disk-reserve.ts';
import type { FactCache } from './fact-cache.ts';
import { FACT_FRESH_MS } from './fact-context.ts';
import type { HealthCheck } from './health-api.ts';
import type { PublicServer } from './public-server.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import type { PortHealth } from './self-probe.ts';

export interface HealthSources {
  readonly probe: () => Promise<PortHealth>;
  readonly publicServer: Pick<PublicServer, 'connections' | 'isDraining'>;
  readonly facts: FactCache;
  readonly reconciler: Reconciler;
  readonly audit: Audit;
  readonly registry: Registry;
  readonly reserve: DiskReserve;
  readonly claims: Pick<ClaimWatch, 'failure'>;
  /** `undefined`: it is off. */
  readonly authorizer?: Pick<AuthorizerFeed, 'status'> | undefined;
  /** Whether this gateway acts; without it, it does. */
  readonly acting?: Acting | undefined;
  /** Why what was proven is not written down; `undefined`: it is, or nothing is kept. */
  readonly proofFailure?: (() => string | undefined) | undefined;
  readonly clock: Clock;
}

/** What `/readyz` reports: whether the gateway can decide, check by check. */
export async function healthChecks(sources: HealthSources): Promise<readonly HealthCheck[]> {
  const { audit, registry, reserve, claims } = sources;
  return [
    await portCheck(sources),
    ...(sources.publicServer.isDraining() ? [draining] : []),
    chainCheck(sources),
    clusterCheck(sources),
    { name: 'claims', isOk: claims.failure() === undefined, detail: claims.failure() ?? 'names are watched' },
    writtenCheck('audit', audit.failure()),
    writtenCheck('state', registry.failure()),
    ...(sources.proofFailure ? [proofsCheck(sources.proofFailure())] : []),
    { name: 'disk', isOk: !reserve.isSpent(), detail: reserve.detail() },
    breakerCheck(sources),
    ...(sources.acting?.isShared ? [leadCheck(sources.acting)] : []),
    ...(sources.authorizer ? [{ name: 'authorizer', ...sources.authorizer.status() }] : []),
  ];
}

const draining: HealthCheck = { name: 'draining', isOk: false, detail: 'the gateway was asked to stop' };

/** One that follows is ready: it takes over when it has to. */
function leadCheck(acting: Acting): HealthCheck {
  const leader = acting.leader();
  const detail = acting.isActing()
    ? 'this gateway leads'
    : leader === undefined
      ? 'no gateway leads'
      : `follows ${leader}`;
  return { name: 'lead', isOk: acting.isActing() || leader !== undefined, detail };
}

async function portCheck({ probe, publicServer }: HealthSources): Promise<HealthCheck> {
  const { isOk, detail } = await probe();
  const { kept, others } = publicServer.connections.figures;
  return { name: 'port', isOk, detail: `${detail}; ${kept} connections of workers, ${others} others` };
}

function chainCheck({ facts, clock }: HealthSources): HealthCheck {
  const heardAtMs = facts.heardAtMs();
  const silentMs = heardAtMs === undefined ? undefined : clock.monotonicMs() - heardAtMs;
  return {
    name: 'chain',
    isOk: silentMs !== undefined && silentMs < FACT_FRESH_MS,
    detail: silentMs === undefined ? 'not heard yet' : `heard ${Math.round(silentMs)} ms ago`,
  };
}

function clusterCheck({ reconciler }: HealthSources): HealthCheck {
  return {
    name: 'cluster',
    isOk: reconciler.nodes() !== undefined && reconciler.names() !== undefined,
    detail: reconciler.nodes() ? 'nodes are watched' : 'the nodes have not been listed yet',
  };
}

function writtenCheck(name: string, failure: string | undefined): HealthCheck {
  return { name, isOk: failure === undefined, detail: failure ?? 'is written' };
}

/** Said, and no reason to be asked nothing: the next start proves again. */
function proofsCheck(failure: string | undefined): HealthCheck {
  const detail =
    failure === undefined ? 'are written' : `are not written, a restart proves again: ${failure}`;
  return { name: 'proofs', isOk: true, detail };
}

function breakerCheck({ registry }: HealthSources): HealthCheck {
  const isOk = registry.breaker().trippedAtMs === undefined;
  return {
    name: 'breaker',
    isOk,
    detail: isOk ? 'at rest' : 'has tripped: see `k3s-daas gateway breaker`',
  };
}
