import { DaasError, EXIT, type ExitCode, errorFacts, gatewayErrorCode, messageOf } from 'k3s-daas/plugin';

/**
 * The gateway answers 401 without a reason until it has seen the token on chain, to strangers and to new workers alike. After
 * this many in a row the token counts as wrong.
 */
export const patienceWithUnnamedRefusals = 10;

/** Another machine or process with this node's key runs its Node. */
export const clonedRefusal = gatewayErrorCode('node_cloned');

export const unnamedRefusal = 'DAAS_GATEWAY_SEAL_TOKEN_INVALID';

/** Why the gateway would not admit this node (the `reason` of its challenge, docs/api.md), before anything is staked. */
export function inadmissibleError(reason: string | undefined, nodeId: string, gatewayUrl: string): DaasError {
  const named = reason ?? 'not_admissible';
  const { sentence, exitCode, isRetryable } = reasons[named] ?? {
    sentence: 'would not be admitted',
    exitCode: EXIT.configuration,
    isRetryable: false,
  };
  return new DaasError(
    gatewayErrorCode(named),
    `node '${nodeId}' ${sentence} (${named}, said by ${gatewayUrl}); nothing was staked`,
    { exitCode, isRetryable, details: { reason: named, gatewayUrl } },
  );
}

interface Reason {
  readonly sentence: string;
  readonly exitCode: ExitCode;
  readonly isRetryable: boolean;
}

const wrong = (sentence: string): Reason => ({ sentence, exitCode: EXIT.configuration, isRetryable: false });
const out = (sentence: string): Reason => ({ sentence, exitCode: EXIT.lockedOut, isRetryable: false });
const later = (sentence: string): Reason => ({ sentence, exitCode: EXIT.joinDeadline, isRetryable: true });

const reasons: Readonly<Record<string, Reason>> = {
  name_not_ours: wrong('is the name of a node that no stake admitted: choose another nodeId'),
  name_taken: later('is still bound to another staker: choose another nodeId, or wait until it is released'),
  name_claimed: wrong(
    'has a name that somebody else may have a certificate of: choose another nodeId, or ask the operator to release it',
  ),
  staker_not_admitted: wrong('has a wallet that the operator of the cluster does not admit: ask for it'),
  node_id_not_admitted: wrong(
    'has a name that the operator of the cluster does not admit: choose another nodeId',
  ),
  evidence_missing: wrong(
    'comes to a gateway that admits only machines that prove what they run: set attestation.evidence.provider',
  ),
  banned: out('or its wallet is banned: the operator of the cluster has to lift that'),
  locked: out('is locked: the operator of the cluster has to unlock it'),
  cluster_full: later('finds the cluster full'),
  breaker_tripped: later('has to wait: too many nodes went at once, and the operator has to look'),
  chain_unavailable: later('has to wait: the gateway cannot read the chain'),
  cluster_unavailable: later('has to wait: the gateway cannot reach the cluster'),
};

/** The error when no gateway took the node: one that may pass, if there is one, so that the host asks again; else the first. */
export function gathered(failures: readonly unknown[]): unknown {
  const retryable = failures.find((failure) => errorFacts(failure).isRetryable);
  return retryable ?? failures[0];
}

/** The same refusal, as one that the host asks again about. */
export function asRetryable(error: unknown): DaasError {
  return new DaasError(errorFacts(error).code ?? unnamedRefusal, messageOf(error), {
    cause: error instanceof Error ? error.cause : undefined,
    exitCode: EXIT.joinDeadline,
    isRetryable: true,
    details: errorFacts(error).details,
  });
}
