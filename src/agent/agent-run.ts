import type { Clock } from '#base';
import { DaasError } from '#base';
import type { AgentStart } from '#plugin';

/** One supervision: from a `start` until it is stopped, replaced or given up. It may start several processes. */
export interface AgentRun {
  readonly request: AgentStart;
  /** Aborts when the end was requested; a waiting `start` rejects with its reason. */
  readonly asked: AbortController;
  readonly ready: PromiseWithResolvers<void>;
  readonly failed: PromiseWithResolvers<Error>;
  over: Promise<void>;
  hasBeenReady: boolean;
  /** An earlier process of this run had the credential in its token file. */
  isCredentialSpent: boolean;
  /** When the credential expires, on the monotonic clock: the wall clock may be set meanwhile. */
  readonly credentialEndsMs: number;
  /** The server has refused the agent since it was last Ready. */
  isRefused: boolean;
  lastTrouble: string | undefined;
  lastDetail: string | undefined;
  /** The line with which the last process ended itself. */
  lastFatal: string | undefined;
  /** The last process of this run, and the pids that were killed to end it. */
  pid: number | undefined;
  readonly killedPids: number[];
  /** A process that survived SIGKILL. */
  stopFailure: unknown;
}

export function newRun(request: AgentStart, clock: Clock): AgentRun {
  const run: AgentRun = {
    request,
    asked: new AbortController(),
    ready: Promise.withResolvers(),
    failed: Promise.withResolvers(),
    over: Promise.resolve(),
    hasBeenReady: false,
    isCredentialSpent: false,
    credentialEndsMs: clock.monotonicMs() + (request.join?.expiresAtMs ?? 0) - clock.nowMs(),
    isRefused: false,
    lastTrouble: undefined,
    lastDetail: undefined,
    lastFatal: undefined,
    pid: undefined,
    killedPids: [],
    stopFailure: undefined,
  };
  // A run that was replaced has no caller left that waits for it.
  run.ready.promise.catch(() => undefined);
  return run;
}

export function replaced(): DaasError {
  return new DaasError('DAAS_AGENT_REPLACED', 'another start of the agent replaced this one');
}

export function stopped(): DaasError {
  return new DaasError('DAAS_AGENT_STOPPED', 'the agent was stopped');
}
