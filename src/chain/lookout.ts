import type { Endpoint, Endpoints } from './endpoints/index.ts';
import type { ObjectProofs } from './object-proofs.ts';
import { readObjects } from './object-reads.ts';

/** How sure it is that nothing newer of the cluster is hidden. */
export interface Freshness {
  /** Of the newest proven cluster object. */
  readonly clusterVersion: bigint | undefined;
  /** The chain's time of the newest checkpoint of all that was proven. */
  readonly provenAtMs: number | undefined;
  /** How many endpoints have shown nothing newer than that version within the last ten seconds. */
  readonly endpointsAgreed: number;
}

/**
 * With several endpoints, all are asked for the cluster object at each reading, and the highest proven version counts: one
 * honest endpoint is enough to see what the others hide. It costs one call for each other endpoint.
 */
export interface Lookout {
  /** Resolves when all have answered. `source`: the endpoint that has just served the cluster. */
  look(source: Endpoint, servedVersion: bigint | undefined): Promise<void>;
  freshness(): Freshness;
}

const AGREEMENT_LIFE_MS = 10_000;

export function createLookout({
  endpoints,
  proofs,
  clusterId,
  nowMs,
}: {
  readonly endpoints: Endpoints;
  readonly proofs: ObjectProofs;
  readonly clusterId: string;
  /** By the monotonic clock. */
  readonly nowMs: () => number;
}): Lookout {
  let looking: Promise<void> | undefined;
  const shown = new Map<string, { readonly version: bigint; readonly atMs: number }>();

  function noteShown(url: string, version: bigint | undefined): void {
    if (version !== undefined) shown.set(url, { version, atMs: nowMs() });
  }

  async function ask(endpoint: Endpoint): Promise<void> {
    const served = await endpoint.call('the cluster', (client, ended) =>
      readObjects(client, [clusterId], ended),
    );
    noteShown(endpoint.url, served.get(clusterId)?.version);
    await proofs.proven(served, endpoint);
  }

  return {
    look(source, servedVersion) {
      noteShown(source.url, servedVersion);
      if (endpoints.all.length < 2) return Promise.resolve();
      looking ??= endpoints.aside(source.url, ask).then(() => {
        looking = undefined;
      });
      return looking;
    },
    freshness() {
      const clusterVersion = proofs.newest(clusterId)?.version;
      const agreed = [...shown.values()].filter(
        ({ version, atMs }) => version === clusterVersion && nowMs() - atMs <= AGREEMENT_LIFE_MS,
      );
      return { clusterVersion, provenAtMs: proofs.newestWrittenAtMs(), endpointsAgreed: agreed.length };
    },
  };
}
