import { DaasError, errorFields, type Log } from '#base';
import type { VouchTable } from '#domain';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import { examineCertificate } from './certificate-examination.ts';
import { afterShowing, type ShownCertificate } from './certificates.ts';
import { cloned } from './clones.ts';
import { inClusterTerms } from './cluster-failures.ts';
import { refuseElsewhere } from './elsewhere.ts';
import type { Locks } from './locks.ts';
import { listName } from './membership.ts';
import type { Reconciler } from './reconciler.ts';
import type { ReconcilerContext } from './reconciler-context.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Holder } from './verifier.ts';
import { isAdmitted, type Worker } from './worker.ts';

/** What a host shows of its agent. */
interface Showing {
  readonly holder: Holder;
  /** PEM each. */
  readonly pems: readonly string[];
  readonly requestId: string;
}

/** Without a bound the requests of one node could pile up before a slow API server. */
const mostWaiting = 3;
const deadlineMs = 20_000;

interface Vouching {
  readonly identities: readonly string[];
  /** The cluster has been told. */
  readonly isInForce: boolean;
}

interface VouchingContext extends Pick<ReconcilerContext, 'kubernetes' | 'registry' | 'clock'> {
  readonly audit: Audit;
  readonly locks: Locks;
  readonly vouches: VouchTable;
  readonly refusals: RefusalTally;
  readonly reconciler: Pick<Reconciler, 'enqueue' | 'nodes'>;
  readonly log: Log;
}

export interface CertificateDesk {
  /**
   * Vouches for the certificates of an admitted node: written down first, then told to the cluster.
   * @throws `ApiProblem` certificate_refused, cluster_unavailable, name_taken, node_cloned, node_in_use, rate_limited.
   */
  show(showing: Showing): Promise<Vouching>;
}

/** The authorities change by an operator's rotation alone. */
const askAuthoritiesMs = 600_000;

export function createCertificateDesk(context: VouchingContext): CertificateDesk {
  const authorities = createAuthorities(context);
  return {
    async show(showing) {
      const { locks } = context;
      const { nodeId } = showing.holder.worker;
      const until = AbortSignal.timeout(deadlineMs);
      // Outside the lock of the node, which an eviction waits for.
      const pem = await inClusterTerms(authorities());
      const shown = examine(context, showing, pem);
      if (locks.waiting(nodeId) >= mostWaiting)
        throw new ApiProblem('rate_limited', `certificates of node ${nodeId} are being vouched for already`, {
          retryAfterMs: 1_000,
        });
      try {
        return await locks.run(nodeId, () => vouch(context, showing, shown, until), until);
      } catch (cause) {
        if (cause !== until.reason) throw cause;
        throw new ApiProblem('cluster_unavailable', `node ${nodeId} is busy: show the certificates again`, {
          cause,
          retryAfterMs: 2_000,
        });
      }
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
  { clock, vouches, refusals }: VouchingContext,
  { holder: { worker }, pems, requestId }: Showing,
  authorities: string,
): readonly ShownCertificate[] {
  const { nodeId } = worker;
  const refuse = (why: string): never => {
    // A subject is as long as its maker likes.
    const detail = why.slice(0, 300);
    const facts = { request_id: requestId, node_id: nodeId, detail };
    refusals.count('certificate.refused', { reason: 'certificate_refused', nodeId }, facts);
    throw new ApiProblem('certificate_refused', `a certificate of node ${nodeId} is refused: ${detail}`);
  };
  const set = new Map<string, ShownCertificate>();
  for (const pem of pems) {
    const outcome = examineCertificate(pem, { nodeId, authorities, nowMs: clock.nowMs() });
    if (outcome.kind === 'refused') return refuse(outcome.why);
    const { certificate } = outcome;
    const known = vouches.byFingerprint(certificate.fingerprint);
    if (known && known.nodeId !== nodeId) return refuse('another node has shown it');
    if (set.has(certificate.identity)) return refuse(`it is the second one of ${certificate.identity}`);
    set.set(certificate.identity, certificate);
  }
  return [...set.values()];
}

async function vouch(
  context: VouchingContext,
  { holder, requestId }: Showing,
  shown: readonly ShownCertificate[],
  until: AbortSignal,
): Promise<Vouching> {
  const { registry, audit, clock, reconciler } = context;
  const { nodeId } = holder.worker;
  const worker = registry.worker(nodeId);
  if (!worker || !isAdmitted(worker))
    throw new ApiProblem('name_taken', `node ${nodeId} is not admitted now: register again`);
  // Of two that use the node key only the one that is served says which certificates count; its boot is public.
  const { clone } = worker;
  if (clone && holder.machine?.runId !== clone.served.machine.runId) throw cloned(nodeId);
  refuseElsewhere(worker, holder.machine, reconciler.nodes()?.get(nodeId));
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
  return { identities, isInForce: await tellCluster(context, next, until) };
}

/** What the cluster cannot be told now, the reconciler tells it later. */
async function tellCluster(context: VouchingContext, worker: Worker, until: AbortSignal): Promise<boolean> {
  const { reconciler, log } = context;
  try {
    await listName(context, worker, until);
    return true;
  } catch (error) {
    if (!until.aborted && !(error instanceof DaasError && error.isRetryable)) throw error;
    log.warn('The cluster does not know the certificates of a node yet', {
      nodeId: worker.nodeId,
      ...errorFields(error),
    });
    reconciler.enqueue(worker.nodeId);
    return false;
  }
}
