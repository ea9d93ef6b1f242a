import type { DaasErrorOptions, ErrorCode } from '#base';
import { abortFixes } from './abort-fixes.ts';
import { ChainError } from './endpoints/index.ts';
import { type AbortName, aborts } from './generated/index.ts';

/** One named abort of the contracts. */
interface NamedAbort {
  readonly module: string;
  readonly constant: string;
}

/** Why an execution failed. `abort` is `undefined` for an abort in another package. */
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
  'cluster::EInvalidNodeId': 'DAAS_NODE_ID_INVALID',
  'cluster::ENodeIdTaken': 'DAAS_NODE_ID_TAKEN',
  'staking::EStakeBelowMinimum': 'DAAS_STAKE_TOO_LOW',
  'staking::ETermsChanged': 'DAAS_TERMS_NOT_ACCEPTED',
};

function unnamedFailure(failure: ExecutionFailure, facts: Readonly<Record<string, unknown>>): ChainError {
  return new ChainError('DAAS_CHAIN_EXECUTION_FAILED', `the transaction failed: ${failure.message}`, {
    details: { ...failure.abort, ...facts },
  });
}

function isAbortName(name: string): name is AbortName {
  return Object.hasOwn(aborts, name);
}
