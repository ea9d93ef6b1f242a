import { Command } from 'commander';
import { Lifetime } from '#base';
import { formatSui, type ParameterState, parametersAt } from '#chain';
import { holdOf, type StakeRecord } from '#domain';
import { formatDuration, formatTime } from './chain-options.ts';
import { type Io, table } from './io.ts';
import { runAct, told } from './stake-act.ts';
import { openStakeSession, type StakeOptions, type StakeSession, withStake } from './stake-session.ts';

/** `k3s-daas unstake`: the stake of a node ends, and its coins come out after the unbonding time. */
export function unstakeCommand(io: Io): Command {
  return withStake(new Command('unstake'))
    .description(
      'End the stake of a node. The node is evicted within seconds; the coins can be withdrawn after the unbonding time. There is no way back to an active stake.',
    )
    .action((options: StakeOptions) => unstake(io, options));
}

async function unstake(io: Io, options: StakeOptions): Promise<void> {
  await using life = new Lifetime();
  await unstakeIn(io, await openStakeSession(io, options, life), options);
}

/** Ends the stake of an open session; `more` goes into the JSON of the result. */
export async function unstakeIn(
  io: Io,
  session: StakeSession,
  options: Omit<StakeOptions, 'deployment'>,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const { record } = session;
  const act = { kind: 'unstake', recordId: record.id } as const;
  const { state, nowMs } = await session.actor.client.clusterState();
  const parameters = parametersAt(state, nowMs);
  const { unbondingMs } = parameters;
  const outcome = await runAct(io, session, act, options, {
    question: 'End this stake?',
    facts: announce(record, parameters, nowMs),
    json: {
      nodeId: record.nodeId,
      stakeMist: record.stakeMist,
      unbondingMs,
      unlockAtMs: nowMs + Number(unbondingMs),
    },
  });
  if (!outcome) return;
  const after = (await session.chain.records([record.id])).get(record.id) ?? record;
  print(io, after, outcome.receipt.digest, more);
  await told(session, act);
}

function announce(
  record: StakeRecord,
  { unbondingMs, slashers, slashThreshold }: ParameterState,
  nowMs: number,
): ReadonlyArray<readonly [string, string]> {
  const hold = holdOf(record, slashers, nowMs);
  const unlockAtMs = nowMs + Number(unbondingMs);
  return [
    [
      'ends',
      `the stake of ${record.stakeType === 'node' ? `node ${record.nodeId}` : `the ${record.stakeType}`}, ${formatSui(record.stakeMist)}`,
    ],
    ['record', record.id],
    ...consequences(record),
    [
      'unlocks',
      `${formatTime(unlockAtMs)}, ${formatDuration(unbondingMs)} after you ask; until then ${slashThreshold} of ${slashers.length} slashers can still take it`,
    ],
    [
      'held back',
      hold
        ? `slash proposals are open: ${hold.proposals.map(({ id }) => id).join(', ')}, until ${formatTime(hold.untilMs)}`
        : 'nothing: no slash proposal is open',
    ],
    ['then', `k3s-daas withdraw --record ${record.id}`],
  ];
}

function consequences({ stakeType, nodeId }: StakeRecord): ReadonlyArray<readonly [string, string]> {
  if (stakeType !== 'node') return [['kubectl', 'its logins end within 20 seconds']];
  return [
    [
      'node',
      'its Seal token is deleted: the gateway evicts it within seconds. Drain it first if its pods matter',
    ],
    ['name', `'${nodeId}' is free at once: any wallet can stake for it`],
  ];
}

function print(
  io: Io,
  { id, nodeId, status, stakeMist, unlockAtMs }: StakeRecord,
  digest: string,
  more: Readonly<Record<string, unknown>>,
): void {
  io.result(
    { ...more, digest, recordId: id, nodeId, status, stakeMist, unlockAtMs },
    table([
      ['record', id],
      ['status', status],
      ['stake', formatSui(stakeMist)],
      ['unlocks', formatTime(unlockAtMs)],
      ['then', `k3s-daas withdraw --record ${id}`],
    ]),
  );
}
