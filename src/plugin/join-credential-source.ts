import { aCount, aListOf, anObject, aRecordOf, aValue, nothing, optional } from './reply.ts';
import type { SealedStake } from './seal-token-source.ts';
import type { Registration } from './services.ts';
import { type Point, point } from './token.ts';

/** Turns a Seal token into what the agent is started with. */
export interface JoinCredentialSource {
  /**
   * Asked before money is staked: throws the gateway's named reason when this node id of this wallet would not be
   * admitted.
   */
  preflight(signal: AbortSignal): Promise<void>;
  register(stake: SealedStake, signal: AbortSignal): Promise<Registration>;
}

const registration = anObject({
  nodeId: aValue('string'),
  incarnation: aCount(0),
  heartbeatIntervalMs: aCount(1),
  nodeLabels: aRecordOf(aValue('string')),
  taints: aListOf(aValue('string')),
  // The token is a `Secret`, of whatever copy of the contract: only that it can be revealed is looked at.
  join: optional(
    anObject({
      server: aValue('string'),
      token: anObject({ reveal: aMethod }),
      expiresAtMs: aValue('number'),
    }),
  ),
});

function aMethod(value: unknown): string | undefined {
  return typeof value === 'function' ? undefined : 'is no method';
}

export const JoinCredentialSource: Point<JoinCredentialSource> = point<JoinCredentialSource>(
  'join-credential-source',
  'exactly-one',
  { preflight: nothing, register: registration },
);
