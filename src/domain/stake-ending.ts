import type { StakeRecord } from './chain-facts.ts';
import type { StopCause } from './stop-cause.ts';
import { formatSui } from './sui-amount.ts';

export interface StakeEnding {
  readonly status: 'slashed' | 'unbonding' | 'withdrawn' | 'token_revoked' | 'stake_short_after_slash';
  readonly cause: StopCause;
}

/**
 * Whether slashes have left the stake of a worker less than the minimum in force: such a worker is evicted, and not banned,
 * since a top-up makes it good again (contracts: `staking::is_short_after_slash`). A stake that only a raised minimum has
 * overtaken is not.
 */
export function isShortAfterSlash(
  { slashedMist, stakeMist }: Pick<StakeRecord, 'slashedMist' | 'stakeMist'>,
  minimumMist: bigint,
): boolean {
  return slashedMist > 0n && stakeMist < minimumMist;
}

/**
 * What ends a host, as its stake record says, or `undefined` while the record is good. A record without a token counts as
 * revoked only when `hadToken`: the reader has seen the token on it before (one just minted may not be visible yet).
 * Without the minimum in force, a stake that is short after a slash does not show.
 */
export function stakeEnding(
  record: StakeRecord,
  hadToken: boolean,
  minimumMist?: bigint,
): StakeEnding | undefined {
  const { id: recordId, status } = record;
  switch (status) {
    case 'slashed': {
      const why = record.slashReason === '' ? 'slashed' : `slashed: ${record.slashReason}`;
      return { status, cause: { kind: 'slashed', recordId, detail: why } };
    }
    case 'unbonding':
    case 'withdrawn':
      return { status, cause: { kind: 'ended', recordId, detail: `the stake is ${status}` } };
    case 'active':
      return endingOfActive(record, hadToken, minimumMist);
    default:
      return status satisfies never;
  }
}

function endingOfActive(
  record: StakeRecord,
  hadToken: boolean,
  minimumMist: bigint | undefined,
): StakeEnding | undefined {
  const { id: recordId, token } = record;
  if (token === undefined && hadToken)
    return {
      status: 'token_revoked',
      cause: { kind: 'ended', recordId, detail: 'the Seal token was revoked' },
    };
  if (minimumMist !== undefined && isShortAfterSlash(record, minimumMist))
    return {
      status: 'stake_short_after_slash',
      cause: {
        kind: 'ended',
        recordId,
        detail: `a slash left ${formatSui(record.stakeMist)} of stake, less than the minimum of ${formatSui(minimumMist)}: top it up, and start again`,
      },
    };
  return undefined;
}
