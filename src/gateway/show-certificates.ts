import { DaasError, errorFields, type Log } from '#base';
import type { VouchTable } from '#domain';
import type { Machine } from '#seal';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import { examineCertificate } from './certificate-examination.ts';
import { afterShowing, type ShownCertificate } from './certificates.ts';
import { cloned } from './clones.ts';
import { inClusterTerms } from './cluster-failures.ts';
import type { Locks } from './locks.ts';
import { listName } from './membership.ts';
import type { Reconciler } from './reconciler.ts';
import type { ReconcilerContext } from './reconciler-context.ts';
import { isAdmitted, type Worker } from './worker.ts';

/** What a host shows of its agent. */
interface Showing {
  readonly nodeId: string;
  /** PEM each. */
  readonly pems: readonly string[];
  readonly requestId: string;
  /** Where the proof was signed. */
  readonly machine: Machine | undefined;
}

interface Vouching {
  readonly identities: readonly string[];
  /** The cluster has been told. */
  readonly isInForce: boolean;
}

interface VouchingContext extends Pick<ReconcilerContext, 'kubernetes' | 'registry' | 'clock'> {
  readonly audit: Audit;
  readonly locks: Locks;
  readonly vouches: VouchTable;
  readonly reconciler: Pick<Reconciler, 'enqueue'>;
  readonly log: Log;
}

export interface CertificateDesk {
  /**
   * Vouches for the certificates of an admitted node: written down first, then told to the cluster.
   * @throws `ApiProblem` certificate_refused, cluster_unavailable, seal_token_invalid, node_cloned.
   */
  show(showing: Showing): Promise<Vouching>;
}

/** The authorities change by an operator's rotation alone. */
const askAuthoritiesMs = 600_000;

export function createCertificateDesk(context: VouchingContext): CertificateDesk {
  const authorities = createAuthorities(context);
  return {
    async show(showing) {
      // Outside the lock of the node, which an eviction waits for.
      const pem = await inClusterTerms(authorities());
      const shown = examine(context, showing, pem);
      return context.locks.run(showing.nodeId, () => vouch(context, showing, shown));
    },
  };
}

function createAuthorities({ kubernetes, clock }: VouchingContext): () => Promise<string> {
  let known: { readonly pem: string; readonly untilMs: number } | undefined;
  return async () => {
    if (known && clock.monotonicMs() < known.untilMs) return known.pem;
    const pem = await kubernetes.clientAuthorities();
    known = { pem, untilMs: clock.monotonicMs() + askAuthoritiesMs };
    return pem;
  };
}

function examine(
  { clock, vouches, audit }: VouchingContext,
  { nodeId, pems, requestId }: Showing,
  authorities: string,
): readonly ShownCertificate[] {
  const refuse = (why: string): never => {
    audit.record('certificate.refused', { request_id: requestId, node_id: nodeId, reason: why });
    throw new ApiProblem('certificate_refused', `a certificate of node ${nodeId} is refused: ${why}`);
  };
  const set = new Map<string, ShownCertificate>();
  for (const pem of pems) {
    const outcome = examineCertificate(pem, { nodeId, authorities, nowMs: clock.nowMs() });
    if (outcome.kind === 'refused') return refuse(outcome.why);
    const { certificate } = outcome;
    const holder = vouches.byFingerprint(certificate.fingerprint);
    if (holder && holder.nodeId !== nodeId) return refuse('another node has shown it');
    if (set.has(certificate.identity)) return refuse(`it is the second one of ${certificate.identity}`);
    set.set(certificate.identity, certificate);
  }
  return [...set.values()];
}

async function vouch(
  context: VouchingContext,
  { nodeId, requestId, machine }: Showing,
  shown: readonly ShownCertificate[],
): Promise<Vouching> {
  const { registry, audit, clock } = context;
  const worker = registry.worker(nodeId);
  if (!worker || !isAdmitted(worker))
    throw new ApiProblem('name_taken', `node ${nodeId} is not admitted now: register again`);
  // Of two that use the node key only the one that is served says which certificates count.
  if (worker.clone && machine?.runId !== worker.clone.served.machine.runId) throw cloned(nodeId);
  const identities = shown.map(({ identity }) => identity);
  const certificates = afterShowing(worker.certificates, shown, clock.nowMs());
  if (certificates === worker.certificates && !worker.isListingDue) return { identities, isInForce: true };
  const next: Worker = { ...worker, certificates, isListingDue: true };
  await audit.note('certificates.vouched', {
    request_id: requestId,
    node_id: nodeId,
    fingerprints: shown.map(({ identity, fingerprint }) => `${identity}=${fingerprint}`).join(','),
  });
  await registry.save({ worker: next });
  return { identities, isInForce: await tellCluster(context, next) };
}

/** What the cluster cannot be told now, the reconciler tells it later. */
async function tellCluster(context: VouchingContext, worker: Worker): Promise<boolean> {
  const { reconciler, log } = context;
  try {
    await listName(context, worker);
    return true;
  } catch (error) {
    if (!(error instanceof DaasError && error.isRetryable)) throw error;
    log.warn('The cluster does not know the certificates of a node yet', {
      nodeId: worker.nodeId,
      ...errorFields(error),
    });
    reconciler.enqueue(worker.nodeId);
    return false;
  }
}
