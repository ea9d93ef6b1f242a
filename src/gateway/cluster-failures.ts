import { DaasError } from '#base';
import { ApiProblem } from './api-problem.ts';

/** The cluster's failures as the caller of the API sees them: to be retried, and without details of the inside. */
export async function inClusterTerms<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    // An administrator was faster.
    if (cause instanceof DaasError && cause.code === 'DAAS_NAME_RESERVED')
      throw new ApiProblem('name_not_ours', 'the operator has just taken the name for an ordinary node', {
        cause,
      });
    if (cause instanceof DaasError && cause.isRetryable && !(cause instanceof ApiProblem))
      throw new ApiProblem('cluster_unavailable', 'the cluster cannot be reached now', {
        cause,
        retryAfterMs: 2_000,
      });
    throw cause;
  }
}
