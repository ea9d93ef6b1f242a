import { ConfigurationError, DaasError, EXIT } from '#base';
import { type Cluster, formatSui, holdOf, paidInMist, type StakeHold, type StakeRecord } from '#domain';
import { ChainError } from './endpoints/index.ts';
import type { StakeAct } from './stake-acts.ts';

/** What an act is judged by, all of one moment. */
export interface ActFacts {
  readonly record: StakeRecord | undefined;
  readonly wallet: string;
  readonly cluster: Pick<Cluster, 'parameters' | 'slashers'>;
  /** The chain's clock. */
  readonly nowMs: number;
}

/**
 * Throws what the contracts would refuse an act with, in words that name the way out, before anything is signed:
 * `DAAS_STAKE_UNKNOWN`, `DAAS_STAKE_NOT_OURS`, `DAAS_STAKE_NOT_ACTIVE`, `DAAS_STAKE_HELD`, `DAAS_STAKE_LOCKED`,
 * `DAAS_STAKE_NOT_UNBONDING`, `DAAS_STAKE_EMPTY`, `DAAS_STAKE_TOO_LOW`, `DAAS_TOP_UP_TOO_LOW`, `DAAS_STAKE_CHANGED`,
 * `DAAS_TOKEN_REPLACED`. Returns the record.
 */
export function judgeAct(act: StakeAct, { record, wallet, cluster, nowMs }: ActFacts): StakeRecord {
  assertOwn(record, act.recordId, wallet);
  const hold = holdOf(record, cluster.slashers, nowMs);
  const { minimumTopUpMist } = cluster.parameters;
  switch (act.kind) {
    case 'rotate':
      assertActive(record);
      assertToken(record, act.tokenId);
      assertEnough(record, minimumOf(record.stakeType, cluster.parameters));
      return record;
    case 'revoke':
      return record;
    case 'top-up':
      assertActive(record);
      assertNotHeld(record, hold, 'topped up');
      if (act.amountMist < minimumTopUpMist) throw topUpTooLow(act.amountMist, minimumTopUpMist);
      if (paidInMist(record) !== act.paidInMist) throw changed(record, act.paidInMist);
      return record;
    case 'unstake':
      assertActive(record);
      return record;
    case 'withdraw':
      judgeWithdrawal(record, nowMs);
      assertNotHeld(record, hold, 'withdrawn');
      return record;
    default:
      return act satisfies never;
  }
}

/** The least stake of a type (`staking::minimum_mist`). */
export function minimumOf(
  stakeType: StakeRecord['stakeType'],
  { minimumWorkerStakeMist, tiersMist: [basic, , premium] }: Cluster['parameters'],
): bigint {
  switch (stakeType) {
    case 'node':
      return minimumWorkerStakeMist;
    case 'user':
      return basic;
    case 'admin':
      return premium;
    default:
      return stakeType satisfies never;
  }
}

/** Throws unless the record is there and is this wallet's. */
export function assertOwn(
  record: StakeRecord | undefined,
  recordId: string,
  wallet: string,
): asserts record is StakeRecord {
  if (!record)
    throw new ChainError(
      'DAAS_STAKE_UNKNOWN',
      `the cluster has no stake record ${recordId}: check the id; a new record may take a moment to show`,
      { details: { recordId }, isRetryable: true },
    );
  if (record.staker !== wallet)
    throw new ConfigurationError(
      'DAAS_STAKE_NOT_OURS',
      `the stake record ${recordId} belongs to ${record.staker}, not to the wallet ${wallet}: use the wallet that made the stake`,
      { details: { recordId, staker: record.staker, wallet } },
    );
}

function assertActive({ id, status, unlockAtMs, stakeMist }: StakeRecord): void {
  if (status === 'active') return;
  const rest =
    stakeMist > 0n
      ? `its ${formatSui(stakeMist)} comes out from ${utc(unlockAtMs)} on: \`k3s-daas withdraw\``
      : 'nothing is left of it; make a new stake';
  throw new ConfigurationError('DAAS_STAKE_NOT_ACTIVE', `the stake record ${id} is ${status}: ${rest}`, {
    details: { recordId: id, status, unlockAtMs },
  });
}

function assertToken({ id, token }: StakeRecord, tokenId: string): void {
  if (token === tokenId) return;
  throw new ConfigurationError(
    'DAAS_TOKEN_REPLACED',
    `the stake record ${id} ${token === undefined ? 'has no Seal token' : `names the Seal token ${token}`}, not ${tokenId}: repeat the command with that`,
    { details: { recordId: id, tokenId, token } },
  );
}

function assertEnough({ id, stakeMist }: StakeRecord, minimumMist: bigint): void {
  if (stakeMist >= minimumMist) return;
  throw new ConfigurationError(
    'DAAS_STAKE_TOO_LOW',
    `the stake record ${id} has ${formatSui(stakeMist)}, a Seal token needs ${formatSui(minimumMist)}: add ${formatSui(minimumMist - stakeMist)} first with \`k3s-daas stake top-up\``,
    { details: { recordId: id, stakeMist, minimumMist } },
  );
}

function assertNotHeld({ id }: StakeRecord, hold: StakeHold | undefined, done: string): void {
  if (!hold) return;
  const proposals = hold.proposals.map((proposal) => proposal.id);
  const which =
    proposals.length === 1
      ? `the open slash proposal ${proposals[0]}`
      : `the open slash proposals ${proposals.join(', ')}`;
  throw new DaasError(
    'DAAS_STAKE_HELD',
    `the stake record ${id} cannot be ${done}: ${which} holds it until it is decided, ${utc(hold.untilMs)} at the latest. You can answer it with \`k3s-daas slash answer\``,
    { exitCode: EXIT.joinDeadline, details: { recordId: id, proposals, untilMs: hold.untilMs } },
  );
}

function judgeWithdrawal(record: StakeRecord, nowMs: number): void {
  const { id, status, stakeMist, unlockAtMs } = record;
  const details = { recordId: id, status, unlockAtMs };
  if (status === 'active')
    throw new ConfigurationError(
      'DAAS_STAKE_NOT_UNBONDING',
      `the stake record ${id} is active, and its node may be running: ask for the coins first with \`k3s-daas unstake\``,
      { details },
    );
  if (stakeMist === 0n)
    throw new ConfigurationError(
      'DAAS_STAKE_EMPTY',
      status === 'withdrawn'
        ? `the stake record ${id} was withdrawn already: nothing is left of it`
        : `the stake record ${id} was slashed to nothing: no coins are left of it`,
      { details },
    );
  if (nowMs < unlockAtMs)
    throw new DaasError(
      'DAAS_STAKE_LOCKED',
      `the ${formatSui(stakeMist)} of the stake record ${id} are locked until ${utc(unlockAtMs)} (now ${utc(nowMs)} on chain): withdraw them then`,
      { exitCode: EXIT.joinDeadline, details: { ...details, nowMs } },
    );
}

function topUpTooLow(amountMist: bigint, minimumTopUpMist: bigint): ConfigurationError {
  return new ConfigurationError(
    'DAAS_TOP_UP_TOO_LOW',
    `a top-up of ${formatSui(amountMist)} is below the least that the cluster takes, ${formatSui(minimumTopUpMist)}: add at least that`,
    { details: { amountMist, minimumTopUpMist } },
  );
}

function changed(record: StakeRecord, paidInMistBefore: bigint): DaasError {
  return new DaasError(
    'DAAS_STAKE_CHANGED',
    `the stake record ${record.id} was topped up meanwhile (paid in: ${formatSui(paidInMist(record))}, before ${formatSui(paidInMistBefore)}): nothing was added. Repeat the command if more is wanted`,
    { exitCode: EXIT.joinDeadline, details: { recordId: record.id, paidInMist: paidInMist(record) } },
  );
}

/** `2026-11-22 14:03:07Z` */
function utc(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}
