import { Command } from 'commander';
import { Lifetime } from '#base';
import { formatSui } from '#chain';
import { formatTime } from './chain-options.ts';
import { type Io, table } from './io.ts';
import { runAct, told } from './stake-act.ts';
import { openStakeSession, type StakeOptions, withStake } from './stake-session.ts';

/** `k3s-daas withdraw`: takes out what is left of a stake that has ended. */
export function withdrawCommand(io: Io): Command {
  return withStake(new Command('withdraw'))
    .description(
      'Take the coins of an ended stake back to the wallet, once the unbonding time is over and no slash proposal holds them.',
    )
    .action((options: StakeOptions) => withdraw(io, options));
}

async function withdraw(io: Io, options: StakeOptions): Promise<void> {
  await using life = new Lifetime();
  const session = await openStakeSession(
    io,
    options,
    life,
    ({ status, stakeMist }) => status !== 'active' && stakeMist > 0n,
  );
  const { record } = session;
  const act = { kind: 'withdraw', recordId: record.id } as const;
  const outcome = await runAct(io, session, act, options, {
    question: 'Withdraw?',
    facts: [
      ['withdraws', `${formatSui(record.stakeMist)} of the stake of node ${record.nodeId}`],
      ['record', `${record.id} (${record.status})`],
      ['unlocked', `since ${formatTime(record.unlockAtMs)}`],
      ...(record.slashedMist > 0n
        ? [['slashed', `${formatSui(record.slashedMist)}: ${record.slashReason}`] as const]
        : []),
    ],
    json: { nodeId: record.nodeId, amountMist: record.stakeMist, unlockAtMs: record.unlockAtMs },
  });
  if (!outcome) return;
  const { digest, amountMist = record.stakeMist } = outcome.receipt;
  io.result(
    { digest, recordId: record.id, nodeId: record.nodeId, amountMist, wallet: session.chain.wallet },
    table([
      ['withdrawn', formatSui(amountMist)],
      ['to', session.chain.wallet],
      ['record', record.id],
    ]),
  );
  await told(session, act);
}
