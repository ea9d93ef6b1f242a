import type { Command } from 'commander';
import { ConfigurationError } from '#base';
import { type ClusterSettings, formatSui, type ParameterState, parseSui } from '#chain';
import { GATEWAY_TIERS } from '#domain';
import { ask, formatDuration, parseCount, parseDuration } from './chain-options.ts';
import type { Io } from './io.ts';
import { addressOf } from './sui-address.ts';

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

export interface ParameterOptions {
  readonly minimumStake?: string;
  readonly minimumTopUp?: string;
  readonly tiers?: string;
  readonly tierPermissions?: string;
  readonly unbonding?: string;
  readonly tokenEpochs?: string;
  readonly slasher?: string[];
  readonly threshold?: string;
  readonly proposalLife?: string;
  readonly challenge?: string;
  readonly treasury?: string;
  readonly allowTinyTiers?: boolean;
  readonly singleOperator?: boolean;
}

export function withParameters(command: Command): Command {
  return command
    .option('--minimum-stake <amount>', 'minimum stake of a worker; not below the tier that has nodes:write')
    .option('--minimum-top-up <amount>', 'minimum amount of a top-up')
    .option('--tiers <a,b,c>', 'stakes of the tiers basic, standard, premium, such as 1,2,10')
    .option(
      '--tier-permissions <a;b;c>',
      'what each tier adds, such as "pods:read;nodes:write pods:write;*:*"',
    )
    .option('--unbonding <duration>', 'time from unstaking until the coins can be withdrawn, such as 7d')
    .option('--token-epochs <count>', 'longest life of a Seal token')
    .option('--slasher <address>', 'an address that can propose and vote on slashes (repeatable)', collect)
    .option('--threshold <count>', 'votes a slash needs')
    .option(
      '--proposal-life <duration>',
      'how long a slash proposal is open; at most a quarter of --unbonding',
    )
    .option(
      '--challenge <duration>',
      'how long the staker can answer a slash proposal before it can be carried out; at most half of --proposal-life',
    )
    .option('--treasury <address>', 'receives slashed coins');
}

/**
 * Settings from flags; what is missing is asked for, with what stands (or the defaults) as answer. With `rolesMustBeSaid`
 * slashers, threshold and treasury have no default (`assertRolesSaid`).
 */
export async function settingsOf(
  io: Io,
  options: ParameterOptions,
  standing: ClusterSettings,
  rolesMustBeSaid = false,
): Promise<ClusterSettings> {
  const role = (value: string) => (rolesMustBeSaid ? undefined : value);
  const stakes = standing.tiers.map(({ stakeMist }) => formatSui(stakeMist).replace(' ', '')).join(',');
  const answer = (value: string | undefined, question: string, flag: string, fallback: string | undefined) =>
    value === undefined ? ask(io, question, flag, fallback) : Promise.resolve(value);
  const minimumStake = await answer(
    options.minimumStake,
    'Minimum stake of a worker',
    '--minimum-stake',
    formatSui(standing.minimumStakeMist),
  );
  const tiers = await answer(options.tiers, 'Stakes of the three tiers', '--tiers', stakes);
  const unbonding = await answer(
    options.unbonding,
    'Unbonding time',
    '--unbonding',
    formatDuration(standing.unbondingMs),
  );
  const slashers = await answer(
    options.slasher?.join(','),
    'Slashers (addresses, separated by commas)',
    '--slasher',
    role(standing.slashers.join(',')),
  );
  const threshold = await answer(
    options.threshold,
    'Votes a slash needs',
    '--threshold',
    role(standing.slashThreshold.toString()),
  );
  const treasury = await answer(
    options.treasury,
    'Address that receives slashed coins',
    '--treasury',
    role(standing.treasury),
  );
  const unbondingMs = parseDuration(unbonding, '--unbonding');
  const proposalLifeMs = proposalLifeOf(options.proposalLife, unbondingMs, standing.proposalLifeMs);
  return {
    minimumStakeMist: parseSui(minimumStake, '--minimum-stake'),
    minimumTopUpMist:
      options.minimumTopUp === undefined
        ? standing.minimumTopUpMist
        : parseSui(options.minimumTopUp, '--minimum-top-up'),
    tiers: tiersOf(tiers, options.tierPermissions, standing),
    unbondingMs,
    maximumTokenEpochs:
      options.tokenEpochs === undefined
        ? standing.maximumTokenEpochs
        : parseCount(options.tokenEpochs, '--token-epochs'),
    slashers: slashers.split(',').map((address) => addressOf(address, '--slasher')),
    slashThreshold: parseCount(threshold, '--threshold'),
    proposalLifeMs,
    challengeMs: challengeOf(options.challenge, proposalLifeMs, standing.challengeMs),
    treasury: addressOf(treasury, '--treasury'),
  };
}

/** The value in force is shortened when the new unbonding time no longer allows it, unless a flag says otherwise. */
function proposalLifeOf(text: string | undefined, unbondingMs: bigint, standingMs: bigint): bigint {
  if (text !== undefined) return parseDuration(text, '--proposal-life');
  const longestMs = unbondingMs / 4n;
  return standingMs < longestMs ? standingMs : longestMs;
}

/** As for the proposal life: what stands is shortened to what the life allows. */
function challengeOf(text: string | undefined, proposalLifeMs: bigint, standingMs: bigint): bigint {
  if (text !== undefined) return parseDuration(text, '--challenge');
  const longestMs = proposalLifeMs / 2n;
  return standingMs < longestMs ? standingMs : longestMs;
}

function tiersOf(stakes: string, permissions: string | undefined, standing: ClusterSettings) {
  const lists =
    permissions?.split(';').map((list) => list.trim().split(/[\s,]+/)) ??
    standing.tiers.map((tier) => tier.permissions);
  const amounts = stakes.split(',').map((stake) => parseSui(stake, '--tiers'));
  if (amounts.length !== 3 || lists.length !== 3)
    throw new ConfigurationError(
      'DAAS_TIERS_INVALID',
      `a cluster has three tiers. Pass three stakes with --tiers (has ${amounts.length}) and three lists with --tier-permissions (has ${lists.length})`,
    );
  return amounts.map((stakeMist, index) => ({ stakeMist, permissions: lists[index] ?? [] }));
}

export function parameterRows(parameters: ParameterState): Array<[string, string]> {
  return [
    ['minimum worker stake', formatSui(parameters.minimumStakeMist)],
    ['minimum top-up', formatSui(parameters.minimumTopUpMist)],
    ...parameters.tiers.map((tier, index): [string, string] => [
      `tier ${GATEWAY_TIERS[index] ?? index}`,
      `from ${formatSui(tier.stakeMist)}: ${tier.permissions.join(' ')}`,
    ]),
    ['unbonding time', formatDuration(parameters.unbondingMs)],
    ['longest token life', `${parameters.maximumTokenEpochs} epochs`],
    ['slash', `${parameters.slashThreshold} of ${parameters.slashers.length} slashers`],
    ...parameters.slashers.map((slasher): [string, string] => ['slasher', slasher]),
    ['proposal life', formatDuration(parameters.proposalLifeMs)],
    ['challenge time', formatDuration(parameters.challengeMs)],
    ['treasury', parameters.treasury],
  ];
}
