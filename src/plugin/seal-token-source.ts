import { anObject, aValue, optional } from './reply.ts';
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
   * The existing stake and token of this node. Reads only; `undefined` when a transaction is needed. The host calls it first,
   * so that it can ask the gateway before money moves.
   */
  find(signal: AbortSignal): Promise<SealedStake | undefined>;
  /** Makes what is missing. Idempotent: after `kill -9` at any moment it continues. Call `onPhase` when a phase begins. */
  obtain(onPhase: (phase: 'stake' | 'seal') => void, signal: AbortSignal): Promise<SealedStake>;
  /**
   * What `find` and `obtain` would do now, for `k3s-daas agent --dry-run`: read and simulate, send nothing. Throws what a
   * start would end with. Optional: without it the dry run shows what `find` gives.
   */
  preview?(signal: AbortSignal): Promise<StakePreview>;
}

/** One sentence for the operator, such as `would stake 1 SUI and mint a Seal token`. */
export interface StakePreview {
  readonly plan: string;
}

const sealedStake = anObject({
  recordId: aValue('string'),
  tokenId: aValue('string'),
  stakeMist: aValue('bigint'),
});

export const SealTokenSource: Point<SealTokenSource> = point<SealTokenSource>(
  'seal-token-source',
  'exactly-one',
  {
    find: optional(sealedStake),
    obtain: sealedStake,
  },
  { preview: anObject({ plan: aValue('string') }) },
);
