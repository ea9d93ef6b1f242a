import type { ErrorCode } from './error-codes.ts';
/**
 * The base of every error this project throws on purpose.
 *
 * `code` is permanent: scripts and docs/errors.md refer to it. The sentence names the value, where it came from and
 * the fix. `exitCode` is what a command that ends by this error exits with (docs/errors.md): 1 unexpected, 75 could not
 * join or be reached in time, 77 must not come back by itself, 78 configuration.
 */
export class DaasError extends Error {
  override readonly name: string = 'DaasError';
  readonly code: string;
  readonly exitCode: ExitCode;
  /** Facts for the log and for `--json`; never secrets. */
  readonly details: Readonly<Record<string, unknown>>;
  /** The same call may succeed later without anybody changing anything. */
  readonly isRetryable: boolean;

  constructor(code: ErrorCode, message: string, options: DaasErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.isRetryable = options.isRetryable ?? false;
    // sysexits.h calls 75 a temporary failure: a service manager may try again.
    this.exitCode = options.exitCode ?? (this.isRetryable ? EXIT.joinDeadline : EXIT.unexpected);
  }
}

export interface DaasErrorOptions {
  readonly cause?: unknown;
  readonly exitCode?: ExitCode;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly isRetryable?: boolean;
}

/** Exit codes; 75 and 78 are those of BSD's sysexits.h, 77 is named in the systemd unit's RestartPreventExitStatus. */
export const EXIT = { ok: 0, unexpected: 1, joinDeadline: 75, lockedOut: 77, configuration: 78 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * A setting, flag, file or on-chain id that cannot be right: fixing it is the user's, retrying is useless. Where the machine
 * is the cause and not the setting (a full disk, a port still taken), the exit code says that it may pass: a service manager
 * takes 78 as final.
 */
export class ConfigurationError extends DaasError {
  override readonly name: string = 'ConfigurationError';
  constructor(code: ErrorCode, message: string, options: Omit<DaasErrorOptions, 'exitCode'> = {}) {
    const exitCode = isPassing(options.cause) ? EXIT.joinDeadline : EXIT.configuration;
    super(code, message, { ...options, exitCode });
  }
}

/** What the kernel refuses for now: memory, files, processes, disk, a busy file, an address that is taken or not up yet. */
const passing = new Set(
  'EADDRINUSE EADDRNOTAVAIL EAGAIN EAI_AGAIN EBUSY EDQUOT EINTR EIO EMFILE ENFILE ENOMEM ENOSPC ETIMEDOUT ETXTBSY'.split(
    ' ',
  ),
);

function isPassing(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  return passing.has((cause as NodeJS.ErrnoException).code ?? '') || isPassing(cause.cause);
}

/** The message of anything thrown, with the causes behind it, on one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message || error.name;
  if (error instanceof AggregateError) return `${own}: ${error.errors.map(messageOf).join('; ')}`;
  if (error.cause === undefined) return own;
  const why = messageOf(error.cause);
  // A sentence that has woven its cause in already is not told it once more.
  return own.includes(why) ? own : `${own}: ${why}`;
}
