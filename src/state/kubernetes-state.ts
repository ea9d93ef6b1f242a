import type { StateEngine, StateObjects } from '#domain';
import type { CandidateOptions, ElectedLeadership } from './election.ts';
import { standInKubernetes } from './kubernetes-election.ts';
import { openKubernetesEngine } from './kubernetes-engine.ts';

export interface KubernetesStateOptions extends CandidateOptions {
  /** Disposed of with the engine. */
  readonly objects: StateObjects;
}

export interface KubernetesState {
  /** Disposing of it hands the leadership over. */
  readonly engine: StateEngine;
  readonly leadership: ElectedLeadership<string>;
}

/** Opens the state of a cluster, and stands for election at once, unless it only reads. */
export function openKubernetesState(options: KubernetesStateOptions): KubernetesState {
  const { takeHead, engine } = openKubernetesEngine(options);
  const leadership = standInKubernetes({ ...options, takeHead });
  return { engine: engine(leadership), leadership };
}
