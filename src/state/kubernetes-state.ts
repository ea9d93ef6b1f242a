import type { StateEngine, StateObjects } from '#domain';
import type { CandidateOptions, ElectedLeadership } from './election.ts';
import { standInKubernetes } from './kubernetes-election.ts';
import { openKubernetesEngine, type Taking } from './kubernetes-engine.ts';

export interface KubernetesStateOptions extends CandidateOptions {
  /** Disposed of with the engine. */
  readonly objects: StateObjects;
}

export interface KubernetesState {
  /** Disposing of it hands the leadership over. */
  readonly engine: StateEngine;
  readonly leadership: ElectedLeadership<string>;
}

/**
 * Opens the state of a cluster, and stands for election at once, unless it only reads.
 * @throws `DAAS_CLUSTER_NOT_SET_UP`, `DAAS_CLUSTER_FORBIDDEN`, `DAAS_CLUSTER_UNAVAILABLE`; then the objects are disposed of.
 */
export async function openKubernetesState(options: KubernetesStateOptions): Promise<KubernetesState> {
  const { objects } = options;
  try {
    // Otherwise a gateway without a Lease would wait for one without a word.
    await objects.readLease();
  } catch (error) {
    await objects[Symbol.asyncDispose]();
    throw error;
  }
  const opened = openKubernetesEngine(options);
  const takeHead = (taking: Taking) => opened.takeHead(taking);
  const leadership = standInKubernetes({ ...options, takeHead });
  return { engine: opened.engine(leadership), leadership };
}
