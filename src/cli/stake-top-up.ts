import type { Command } from 'commander';
import { Lifetime } from '#base';
import { formatSui, minimumOf, parseSui } from '#chain';
import { paidInMist } from '#domain';
import { ask } from './chain-options.ts';
import { type Io, table } from './io.ts';
import { runAct, told } from './stake-act.ts';
import { openStakeSession, optionsOf, type StakeOptions, withStake } from './stake-session.ts';
import { termsJson, termsRows } from './stake-terms.ts';
import { judgeConsent } from './terms-consent.ts';

interface TopUpOptions extends StakeOptions {
  readonly amount?: string;
  readonly acceptTerms?: string;
}

/** `k3s-daas stake top-up`: adds coins to a stake that stands. */
export function addTopUpCommand(command: Command, io: Io): void {
  withStake(command.command('top-up'))
    .description('Add coins to an active stake, under the terms of the cluster as they are now.')
    .option('--amount <amount>', 'how much to add')
    .option(
      '--accept-terms <fingerprint>',
      'with --yes: the fingerprint of the terms you agree to (`cluster show` prints it); other terms are refused',
    )
    .action((_options, self: Command) => topUp(io, optionsOf<TopUpOptions>(self)));
}

async function topUp(io: Io, options: TopUpOptions): Promise<void> {
  const amountMist = parseSui(options.amount ?? (await ask(io, 'How much to add', '--amount')), '--amount');
  await using life = new Lifetime();
  const session = await openStakeSession(io, options, life);
  const { record, actor } = session;
  const snapshot = await actor.client.clusterState();
  const minimumMist = minimumOf(record.stakeType, (await actor.client.cluster()).parameters);
  const { termsVersion } = snapshot.state;
  const act = {
    kind: 'top-up',
    recordId: record.id,
    amountMist,
    paidInMist: paidInMist(record),
    termsVersion,
  } as const;
  const newMist = record.stakeMist + amountMist;
  const outcome = await runAct(io, session, act, options, {
    question: 'Add this under these terms?',
    facts: [
      [
        'adds',
        `${formatSui(amountMist)} to the stake of ${record.stakeType === 'node' ? `node ${record.nodeId}` : `the ${record.stakeType}`}`,
      ],
      ['record', record.id],
      [
        'stake',
        `${formatSui(record.stakeMist)} now, ${formatSui(newMist)} then (minimum ${formatSui(minimumMist)})`,
      ],
      ...termsRows(snapshot),
    ],
    json: { nodeId: record.nodeId, amountMist, stakeMist: record.stakeMist, ...termsJson(snapshot) },
    consent: () => judgeConsent(io, options, actor.client),
  });
  if (!outcome) return;
  const after = (await session.chain.records([record.id])).get(record.id) ?? record;
  io.result(
    { digest: outcome.receipt.digest, recordId: record.id, amountMist, stakeMist: after.stakeMist },
    table([
      ['record', record.id],
      ['added', formatSui(amountMist)],
      ['stake', formatSui(after.stakeMist)],
    ]),
  );
  await told(session, act);
}
