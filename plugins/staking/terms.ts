import { type Cluster, type ClusterParameters, ConfigurationError, formatSui } from 'k3s-daas/plugin';

/** Accepts whatever the cluster's terms are: for a cluster of one's own. */
const ANY_TERMS = 'any';

/** The terms by name, as the operator reads them. */
export type Terms = Readonly<Record<string, string>>;

/** What a staker agrees to: who can take the coins, when they come back, and what is announced. */
export function termsOf({ admin, slashers, parameters, pending }: Cluster): Terms {
  const inForce = termsIn(parameters, slashers);
  const announced = Object.entries(pending ? termsIn(pending.parameters, pending.slashers) : {});
  return {
    ...inForce,
    admin,
    ...(pending && {
      'announced from': new Date(pending.effectiveAtMs).toISOString(),
      ...Object.fromEntries(
        announced
          .filter(([name, value]) => inForce[name] !== value)
          .map(([name, value]) => [`announced ${name}`, value]),
      ),
    }),
  };
}

function termsIn(parameters: ClusterParameters, slashers: readonly string[]): Terms {
  return {
    'minimum stake': formatSui(parameters.minimumWorkerStakeMist),
    'minimum top-up': formatSui(parameters.minimumTopUpMist),
    tiers: parameters.tiersMist.map((stakeMist) => `from ${formatSui(stakeMist)}`).join(', '),
    'unbonding time': seconds(parameters.unbondingMs),
    'longest token life': `${parameters.longestTokenLifeEpochs} epochs`,
    'votes for a slash': String(parameters.slashThreshold),
    'proposal life': seconds(parameters.proposalLifeMs),
    'challenge time': seconds(parameters.challengeMs),
    treasury: parameters.treasury,
    slashers: slashers.join(', '),
  };
}

function seconds(ms: number): string {
  return `${ms / 1_000} s`;
}

/** What the operator agreed to. */
export interface Consent {
  /** A fingerprint, or `any`. */
  readonly acceptTerms: string | undefined;
  /** The terms of this cluster that were accepted last, for the difference. */
  readonly accepted?: Terms | undefined;
  /** The setting that gives consent, for the message. */
  readonly setting: string;
}

/** Throws `DAAS_TERMS_NOT_ACCEPTED` (exit 78) with the terms, or with what differs from those accepted last. */
export function judgeTerms(cluster: Cluster, { acceptTerms, accepted, setting }: Consent): void {
  const { termsFingerprint } = cluster;
  if (acceptTerms === ANY_TERMS || acceptTerms === termsFingerprint) return;
  const terms = termsOf(cluster);
  const given = acceptTerms === undefined ? `${setting} is not set` : `${setting} names ${acceptTerms}`;
  const shown = accepted
    ? `They differ from those accepted before: ${differences(accepted, terms)}`
    : `They are: ${listed(terms)}`;
  throw new ConfigurationError(
    'DAAS_TERMS_NOT_ACCEPTED',
    `nothing is staked: the terms of the cluster are ${termsFingerprint}, and ${given}. ${shown}. If you agree, set ${setting} to ${termsFingerprint}`,
    { details: { termsFingerprint, acceptTerms, terms, accepted } },
  );
}

function listed(terms: Terms): string {
  return Object.entries(terms)
    .map(([name, value]) => `${name} ${value}`)
    .join('; ');
}

function differences(before: Terms, now: Terms): string {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  const changed = names.filter((name) => before[name] !== now[name]);
  if (changed.length === 0) return 'an act of the admin, with the same values';
  return changed
    .map((name) => `${name} ${now[name] ?? 'no longer'} (before: ${before[name] ?? 'none'})`)
    .join('; ');
}
