import type { ErrorCode } from '#base';
import {
  ConfigurationError,
  DaasError,
  type DaasErrorOptions,
  describeNetworkFailure,
  innermostCause,
} from '#base';
import { type HttpProxy, proxyText } from '#infrastructure';
import { abortFixes } from './abort-fixes.ts';
import { type AbortName, aborts } from './generated/index.ts';

/** A failure of the chain layer; `code` says which (docs/errors.md). */
export class ChainError extends DaasError {
  override readonly name: string = 'ChainError';
}

/** A fact could not be read, or a transaction not be sent: nothing is known by it, and trying again may help. */
export function chainUnavailable(what: string, url: string, cause: unknown, proxy?: HttpProxy): ChainError {
  const way = proxy ? ` through ${proxyText(proxy)}` : '';
  return new ChainError(
    'DAAS_CHAIN_UNAVAILABLE',
    `${url} could not be asked for ${what}${way}: ${describeNetworkFailure(cause)}`,
    { cause: innermostCause(cause), isRetryable: true, details: { url, what } },
  );
}

/** The node answered, and would answer the same again. */
export function chainRefused(what: string, url: string, cause: unknown): ChainError {
  return new ChainError('DAAS_CHAIN_REFUSED', `${url} refused ${what}: ${describeNetworkFailure(cause)}`, {
    cause: innermostCause(cause),
    details: { url, what },
  });
}

/**
 * The node, or what stands before it, wants to know who asks. Another endpoint may not, and a gatekeeper that is
 * overloaded answers so too: so it is tried again.
 */
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

/** One named abort of the contracts. */
interface NamedAbort {
  readonly module: string;
  readonly constant: string;
}

/** `aborted in another package` has no name of ours; `undefined` then. */
export interface ExecutionFailure {
  readonly message: string;
  readonly abort: NamedAbort | undefined;
}

/**
 * A Move abort as an error: the contract's own sentence and the fix. `DAAS_CHAIN_ABORT` with `details.module` and
 * `details.constant`; aborts that callers decide on have codes of their own (`DAAS_NODE_ID_TAKEN`,
 * `DAAS_STAKE_TOO_LOW`).
 */
export function executionError(
  failure: ExecutionFailure,
  facts: Readonly<Record<string, unknown>> = {},
): ChainError {
  const { abort } = failure;
  const name = abort && `${abort.module}::${abort.constant}`;
  if (!name || !isAbortName(name)) return unnamedFailure(failure, facts);
  const sentence = `${aborts[name]}: ${abortFixes[name]}`;
  const options: DaasErrorOptions = { details: { ...abort, ...facts }, exitCode: 78 };
  return new ChainError(CODES[name] ?? 'DAAS_CHAIN_ABORT', sentence, options);
}

const CODES: Partial<Readonly<Record<AbortName, ErrorCode>>> = {
  'cluster::ENodeIdTaken': 'DAAS_NODE_ID_TAKEN',
  'staking::EStakeBelowMinimum': 'DAAS_STAKE_TOO_LOW',
  'staking::EInvalidNodeId': 'DAAS_NODE_ID_INVALID',
};

function unnamedFailure(failure: ExecutionFailure, facts: Readonly<Record<string, unknown>>): ChainError {
  return new ChainError('DAAS_CHAIN_EXECUTION_FAILED', `the transaction failed: ${failure.message}`, {
    details: { ...failure.abort, ...facts },
  });
}

function isAbortName(name: string): name is AbortName {
  return Object.hasOwn(aborts, name);
}
