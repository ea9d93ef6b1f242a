import type { Registration } from './services.ts';
import { type Point, point } from './token.ts';

/** A stake record and its live Seal token. */
export interface SealedStake {
  readonly recordId: string;
  readonly tokenId: string;
  readonly stakeMist: bigint;
}

/** Finds or makes the stake record and its Seal token. */
export interface SealTokenSource {
  /**
   * The stake and the token that stand already for this node, read without sending anything; `undefined` when something
   * would have to be sent. The host asks first, so that it can ask the gateway before money moves.
   */
  find(signal: AbortSignal): Promise<SealedStake | undefined>;
  /** Idempotent: after `kill -9` at any moment it goes on where it was. `onPhase` tells the host what it is at. */
  obtain(onPhase: (phase: 'stake' | 'seal') => void, signal: AbortSignal): Promise<SealedStake>;
}
export const SealTokenSource: Point<SealTokenSource> = point('seal-token-source', 'exactly-one');

/** Turns a Seal token into what the agent is started with. */
export interface JoinCredentialSource {
  /**
   * Asked before money is staked: throws the gateway's named reason when this node id of this wallet would not be
   * admitted.
   */
  preflight(signal: AbortSignal): Promise<void>;
  register(stake: SealedStake, signal: AbortSignal): Promise<Registration>;
}
export const JoinCredentialSource: Point<JoinCredentialSource> = point(
  'join-credential-source',
  'exactly-one',
);

/** Adds flags to `k3s agent`, each an argv element such as `--node-label=a=b`; those that are ours are refused. */
export interface AgentArguments {
  agentArguments(): readonly string[] | Promise<readonly string[]>;
}
export const AgentArguments: Point<AgentArguments> = point('agent-arguments', 'any');
