import type { StakeRecord } from './chain-facts.ts';
import type { StopCause } from './stop-cause.ts';

export interface StakeEnding {
  readonly status: 'slashed' | 'unbonding' | 'withdrawn' | 'token_revoked';
  readonly cause: StopCause;
}

/**
 * What ends a host, as its stake record says, or `undefined` while the record is good. A record without a token counts as
 * revoked only when `hadToken`: the reader has seen the token on it before (one just minted may not be visible yet).
 */
export function stakeEnding(record: StakeRecord, hadToken: boolean): StakeEnding | undefined {
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
      return record.token === undefined && hadToken
        ? {
            status: 'token_revoked',
            cause: { kind: 'ended', recordId, detail: 'the Seal token was revoked' },
          }
        : undefined;
    default:
      return status satisfies never;
  }
}
