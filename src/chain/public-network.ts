import { ConfigurationError } from '#base';
import { isLoopbackHost } from '#infrastructure';
import type { ClusterSettings } from './cluster-settings.ts';

const PUBLIC_CHAINS: Readonly<Record<string, string>> = {
  '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S': 'mainnet',
  '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD': 'testnet',
};
const MIST_PER_SUI = 1_000_000_000n;

/**
 * Whether strangers can use this chain: it is one of the known public chains, or an endpoint is not on loopback. (Devnet
 * gets a new chain id every week, and a chain on another machine may have a faucet that anybody can use.)
 */
export function isPublicNetwork(chainId: string, urls: readonly string[]): boolean {
  return chainId in PUBLIC_CHAINS || urls.some((url) => !isLoopbackHost(new URL(url).hostname));
}

/** Throws `DAAS_TIERS_TOO_LOW` (exit 78) for tiers below 1 SUI on a public network. */
export function assertTiers(
  settings: Pick<ClusterSettings, 'tiers'>,
  network: { readonly chainId: string; readonly urls: readonly string[] },
): void {
  const tiny = settings.tiers.filter(({ stakeMist }) => stakeMist < MIST_PER_SUI);
  if (tiny.length === 0 || !isPublicNetwork(network.chainId, network.urls)) return;
  throw new ConfigurationError(
    'DAAS_TIERS_TOO_LOW',
    `${tiny.length} of the tiers are below 1 SUI on a public network, where a faucet would buy ${tiny.at(-1)?.permissions.join(' ')}: give --tiers of at least 1 SUI, or --allow-tiny-tiers if you mean it`,
    { details: { tiersMist: settings.tiers.map(({ stakeMist }) => stakeMist) } },
  );
}

/** Throws `DAAS_TERMS_ANY_REFUSED` (exit 78) where consent to whatever the terms are would be given to strangers. */
export function assertTermsNamed(
  acceptTerms: unknown,
  network: { readonly chainId: string; readonly urls: readonly string[] },
  origin: string,
): void {
  if (acceptTerms !== 'any' || !isPublicNetwork(network.chainId, network.urls)) return;
  throw new ConfigurationError(
    'DAAS_TERMS_ANY_REFUSED',
    `'any' accepts whatever the admin of the cluster makes of its terms, which is refused on a public network (${origin}): give the fingerprint that \`k3s-daas cluster show\` prints. Nothing was staked`,
    { details: { origin } },
  );
}

const LEAST_PROPOSAL_LIFE_MS = 3_600_000n;

/** Throws `DAAS_PROPOSAL_LIFE_TOO_SHORT` (exit 78) for proposals that are open for less than an hour on a public network. */
export function assertProposalLife(
  { proposalLifeMs }: Pick<ClusterSettings, 'proposalLifeMs'>,
  network: { readonly chainId: string; readonly urls: readonly string[] },
): void {
  if (proposalLifeMs >= LEAST_PROPOSAL_LIFE_MS || !isPublicNetwork(network.chainId, network.urls)) return;
  throw new ConfigurationError(
    'DAAS_PROPOSAL_LIFE_TOO_SHORT',
    `a proposal life of ${proposalLifeMs} ms (--proposal-life) is too short for a public network: other slashers could not vote in time. Give at least 1h (and --unbonding of at least 4h)`,
    { details: { proposalLifeMs } },
  );
}
