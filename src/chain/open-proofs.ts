import type { Clock } from '#base';
import type { Deployment } from './deployment.ts';
import type { Endpoints } from './endpoints/index.ts';
import { createObjectProofs, type ObjectProofs, type UnprovenListener } from './object-proofs.ts';
import type { Pairing, ProofStore, TrustAnchors } from './proof/index.ts';

/** How a client holds what full nodes serve to what the validators signed. */
export interface ProofOptions {
  /** Called for each object that a node serves and cannot prove. */
  readonly onUnproven?: UnprovenListener;
  /** Committees and proofs from one start to the next. Without a trust pin, the pin of the first use is kept there too. */
  readonly proofStore?: ProofStore;
  /** Called with what is trusted on first use, at each start without a trust pin. */
  readonly onFirstUse?: (anchors: TrustAnchors, isFirst: boolean) => void;
  /** Where signatures of checkpoints are verified; left out: on this thread, and in a worker thread above a few a second. */
  readonly pairing?: Pairing;
  /** How long a proof that cannot be had yet is waited for; default 5 s. */
  readonly proofWaitMs?: number;
  /** Called once, with the evidence that two checkpoints of one height are signed. */
  readonly onFork?: (evidence: string) => void;
}

/** With a trust pin, or with a store that keeps the one of the first use. */
export function openProofs(
  options: ProofOptions & { readonly clock: Clock },
  deployment: Deployment,
  { endpoints, archive }: { readonly endpoints: Endpoints; readonly archive: Endpoints | undefined },
): ObjectProofs | undefined {
  const { proofStore: store, clock, pairing, proofWaitMs } = options;
  if (!deployment.trust && !store) return undefined;
  return createObjectProofs({
    nodes: endpoints,
    archive,
    anchors: () => anchorsOf(options, deployment, endpoints),
    store,
    clock,
    pairing,
    ...(proofWaitMs !== undefined && { waitForMs: proofWaitMs }),
    onFork: options.onFork,
    onUnproven: (unproven) => {
      const { contradictedBy, objectId, detail } = unproven;
      if (contradictedBy !== undefined) endpoints.drop(contradictedBy, `object ${objectId}: ${detail}`);
      options.onUnproven?.(unproven);
    },
  });
}

async function anchorsOf(
  { proofStore, onFirstUse }: ProofOptions,
  { trust, recentTrust, clusterId }: Deployment,
  endpoints: Endpoints,
): Promise<TrustAnchors> {
  if (trust) return { trust, recentTrust };
  const kept = proofStore?.firstUse();
  const { anchorsOnFirstUse } = await import('./proof/index.ts');
  const anchors = kept ?? (await anchorsOnFirstUse(endpoints, clusterId));
  if (!kept) proofStore?.keepFirstUse(anchors);
  onFirstUse?.(anchors, kept === undefined);
  return anchors;
}
