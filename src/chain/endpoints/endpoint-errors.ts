import {
  ConfigurationError,
  DaasError,
  describeNetworkFailure,
  type ErrorCode,
  innermostCause,
  messageOf,
} from '#base';
import { type HttpProxy, proxyText } from '#infrastructure';

/** A failure of the chain layer; `code` names it (docs/errors.md). */
export class ChainError extends DaasError {
  override readonly name: string = 'ChainError';
}

/** What else is known of a call that failed. */
export interface NodeFacts {
  readonly proxy?: HttpProxy | undefined;
  /** What the node asked for by `Retry-After`. */
  readonly retryAfterMs?: number | undefined;
}

/** A fact could not be read, or a transaction could not be sent. It says nothing about the chain; a retry may help. */
export function chainUnavailable(
  what: string,
  url: string,
  cause: unknown,
  { proxy, retryAfterMs }: NodeFacts = {},
): ChainError {
  const way = proxy ? ` through ${proxyText(proxy)}` : '';
  return new ChainError(
    'DAAS_CHAIN_UNAVAILABLE',
    `${url} could not be asked for ${what}${way}: ${describeNetworkFailure(cause)}`,
    {
      cause: innermostCause(cause),
      isRetryable: true,
      details: { url, what, ...(retryAfterMs !== undefined && { retryAfterMs }) },
    },
  );
}

/** The last failure, and what each endpoint before it said: with several endpoints, one message alone misleads. */
export function allFailed(failures: readonly unknown[]): unknown {
  const last = failures.at(-1);
  if (failures.length < 2 || !(last instanceof DaasError)) return last;
  return new ChainError(last.code as ErrorCode, failures.map(messageOf).join('; '), {
    cause: last.cause,
    isRetryable: true,
    exitCode: last.exitCode,
    details: last.details,
  });
}

/** Every node has asked to be left alone for a while. */
export function blockedByNode(urls: readonly string[]): ChainError {
  return new ChainError(
    'DAAS_CHAIN_UNAVAILABLE',
    `${urls.join(', ')} asked to wait (Retry-After): nothing is sent there before. Add another endpoint, or a key of the provider`,
    { isRetryable: true, details: { urls } },
  );
}

/** The node refused; it would refuse the same call again. */
export function chainRefused(what: string, url: string, cause: unknown): ChainError {
  return new ChainError('DAAS_CHAIN_REFUSED', `${url} refused ${what}: ${describeNetworkFailure(cause)}`, {
    cause: innermostCause(cause),
    details: { url, what },
  });
}

/** The node or its proxy needs a key. It is retryable: another endpoint may need none, and an overloaded proxy replies so too. */
export function endpointKeyNeeded(what: string, url: string, cause: unknown): ChainError {
  return new ChainError(
    'DAAS_ENDPOINT_KEY_NEEDED',
    `${url} does not answer for ${what} without a valid key: ${describeNetworkFailure(cause)}; put the header that its provider names into chain.headersFile (--headers-file)`,
    { cause: innermostCause(cause), isRetryable: true, details: { url, what } },
  );
}

export function chainIdMismatch(url: string, expected: string, actual: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_CHAIN_ID_MISMATCH',
    `${url} serves the chain ${actual}, the deployment names ${expected}: correct the endpoint or the deployment file`,
    { details: { url, expected, actual } },
  );
}
