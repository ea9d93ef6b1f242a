import { DaasError, type ErrorCode, EXIT, messageOf } from '#base';
import type { StopCause } from '#domain';
import { factsOf } from './errors.ts';

/** What can end the life of a host, or disturb it. */
export type Cause =
  | { readonly kind: 'asked'; readonly by: string }
  | StopCause
  | { readonly kind: 'failed'; readonly during: Activity; readonly error: Error };

/**
 * `join`: a question to the chain or a gateway before the node is registered. `renewal`: the same once the node has joined.
 * `work`: everything else, such as the agent, a plugin's task, the join deadline.
 */
export type Activity = 'join' | 'renewal' | 'work';

export type Consequence = AskAgain | Degrade | Ending;

/** The same question may be answered later. */
interface AskAgain {
  readonly kind: 'ask-again';
  /** The delay the answer asked for (HTTP's Retry-After), at most five minutes; 0 without one. */
  readonly atLeastMs: number;
}

/** The node runs on as it is; the host says why it is not well. */
interface Degrade {
  readonly kind: 'degrade';
  readonly detail: string;
}

export interface Ending {
  readonly kind: 'end';
  readonly undo: Undo;
  /** `undefined`: the host was asked to stop, and ends with exit code 0. */
  readonly error: Error | undefined;
  readonly detail: string;
}

/**
 * How a host winds down. `drain`: agent and plugins stop in order, pods live on. `clear`: the agent stops for good, with its
 * pods, its credential and the record of its join. `latch`: the same, behind a latch that outlives a restart.
 */
type Undo = 'drain' | 'drain-and-clear' | 'clear' | 'latch';

const longestAskedDelayMs = 300_000;

/** Every cause and what follows from it. All failure policy of the host is in this function. */
export function consequenceOf(cause: Cause): Consequence {
  switch (cause.kind) {
    case 'asked':
      return { kind: 'end', undo: 'drain', error: undefined, detail: cause.by };
    case 'slashed':
      return lockedOut('latch', cause, 'DAAS_STAKE_SLASHED');
    case 'ended':
      return lockedOut('clear', cause, 'DAAS_STAKE_ENDED');
    case 'left':
      return lockedOut('clear', cause, 'DAAS_NODE_LEFT');
    case 'failed':
      return consequenceOfFailure(cause.during, cause.error);
    default:
      return cause satisfies never;
  }
}

function consequenceOfFailure(during: Activity, error: Error): Consequence {
  const { code, exitCode, isRetryable, details } = factsOf(error);
  const detail = messageOf(error);
  if (during !== 'work' && isRetryable) return { kind: 'ask-again', atLeastMs: askedDelayMs(details) };
  // The agent runs on: the chain's word about the stake ends a node, a gateway's refusal does not.
  if (during === 'renewal') return { kind: 'degrade', detail };
  // The host that was locked out has cleared up then; a restart that finds the latch has nothing left to clear.
  // The pods of a machine with two hosts are those of the other one.
  const isLockedOut = exitCode === EXIT.lockedOut && code !== 'DAAS_LATCHED' && code !== 'DAAS_NODE_CLONED';
  return { kind: 'end', undo: isLockedOut ? 'drain-and-clear' : 'drain', error, detail };
}

function askedDelayMs({ retryAfterMs }: Readonly<Record<string, unknown>>): number {
  if (typeof retryAfterMs !== 'number' || retryAfterMs <= 0) return 0;
  return Math.min(retryAfterMs, longestAskedDelayMs);
}

function lockedOut(undo: Undo, { kind, recordId, detail }: StopCause, code: ErrorCode): Ending {
  const message =
    kind === 'slashed'
      ? `this host is locked out: stake record ${recordId} (${detail})`
      : `this node is out: ${detail}`;
  const error = new DaasError(code, message, { exitCode: EXIT.lockedOut, details: { recordId } });
  return { kind: 'end', undo, error, detail };
}
