import { assertTermsNamed, type ChainClient } from '#chain';
import { judgeTerms } from '#plugins';
import { canAsk, type SpendOptions } from './chain-options.ts';
import type { Io } from './io.ts';

/**
 * Consent to the terms of a cluster, before coins are put under them: the answer at the terminal to the terms shown; without a
 * question, `--accept-terms`. Throws `DAAS_TERMS_NOT_ACCEPTED`, `DAAS_TERMS_ANY_REFUSED`.
 */
export async function judgeConsent(
  io: Io,
  options: SpendOptions & { readonly acceptTerms?: string },
  client: ChainClient,
): Promise<void> {
  const { acceptTerms } = options;
  const urls = client.endpoints.all.map(({ url }) => url);
  assertTermsNamed(acceptTerms, { chainId: client.deployment.chainId, urls }, '--accept-terms');
  if (!canAsk(io, options) || acceptTerms !== undefined)
    judgeTerms(await client.cluster(), { acceptTerms, setting: '--accept-terms' });
}
