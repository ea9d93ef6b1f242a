import type { Clock } from '#base';
import type { KubeApi } from './kube-api.ts';
import { parseKubernetesVersion, showsCertificates } from './version.ts';

/** An API server may be upgraded under a gateway that runs. */
const askAgainMs = 600_000;

/**
 * Whether this API server shows the certificate of a request to its policies. A version that cannot be read (a build of
 * one's own) is taken to be new: the names are listed strictly then.
 */
export function createCertificateSight(
  api: KubeApi,
  clock: Clock,
): (signal?: AbortSignal) => Promise<boolean> {
  let known: { readonly shows: boolean; readonly untilMs: number } | undefined;
  return async (signal) => {
    if (known && clock.monotonicMs() < known.untilMs) return known.shows;
    const { gitVersion } = await api.call('read its version', (given) => api.version.getCode({}, given), {
      signal,
    });
    const version = parseKubernetesVersion(gitVersion);
    known = {
      shows: version === undefined || showsCertificates(version),
      untilMs: clock.monotonicMs() + askAgainMs,
    };
    return known.shows;
  };
}
