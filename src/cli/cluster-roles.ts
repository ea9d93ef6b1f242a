import { ConfigurationError } from '#base';
import type { ClusterSettings } from '#chain';
import type { ParameterOptions } from './cluster-parameters.ts';

/**
 * Where strangers stake, who may take their coins is not guessed. Throws `DAAS_CLUSTER_ROLES_MISSING` (exit 78), naming
 * every flag that is missing.
 */
export function assertRolesSaid({ slasher, threshold, treasury }: ParameterOptions): void {
  const missing = Object.entries({ '--slasher': slasher, '--threshold': threshold, '--treasury': treasury })
    .filter(([, value]) => value === undefined)
    .map(([flag]) => flag);
  if (missing.length === 0) return;
  throw new ConfigurationError(
    'DAAS_CLUSTER_ROLES_MISSING',
    `on a public network slashers, their threshold and the treasury have no default: pass ${missing.join(', ')}, or --single-operator to let this wallet be the only slasher (threshold 1) and the treasury`,
    { details: { missing } },
  );
}

type Roles = Pick<ClusterSettings, 'slashers' | 'slashThreshold' | 'treasury'>;

/**
 * Votes that reach the threshold evict every node: the gateway carries out what is proven, and no breaker holds it
 * (docs/security.md, “What no breaker holds”).
 */
export function killSwitchWarnings({
  slashThreshold,
  challengeMs,
}: Pick<ClusterSettings, 'slashThreshold' | 'challengeMs'>): string[] {
  const warnings: string[] = [];
  if (slashThreshold < 2n)
    warnings.push(
      'With a threshold of 1, one stolen slasher key can take every stake and evict every node: pass --threshold 2 or more.',
    );
  if (challengeMs === 0n)
    warnings.push(
      'Without a challenge time a slash takes effect before anybody can notice and retract it: pass --challenge, such as 1h.',
    );
  return warnings;
}

/** What a staker would not trust (docs/contracts.md, “Parameters, and how to choose them”). */
export function roleWarnings(
  { slashers, treasury }: Pick<Roles, 'slashers' | 'treasury'>,
  admin: string,
): string[] {
  const warnings: string[] = [];
  if (slashers.includes(admin))
    warnings.push('The admin is a slasher: the one who announces parameters then votes under them.');
  if (slashers.includes(treasury))
    warnings.push('The treasury is a slasher: that slasher is paid for slashing.');
  return warnings;
}

/** Set when a removal leaves fewer slashers than a slash needs votes. */
export function removalWarning(
  { slashers, slashThreshold }: Pick<Roles, 'slashers' | 'slashThreshold'>,
  slasher: string,
): string | undefined {
  const left = slashers.filter((address) => address !== slasher).length;
  if (left >= Number(slashThreshold)) return undefined;
  return `The removal leaves ${left} slashers, and a slash needs ${slashThreshold} votes: no stake can be slashed until new parameters with more slashers are in force (\`k3s-daas cluster set --slasher …\`).`;
}
