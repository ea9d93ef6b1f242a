/** Permanent names of what can go wrong with the chain itself; what a transaction does wrong is an `RpcStatus`. */
export type DevnetErrorCode = 'DAAS_DEVNET_FRAMEWORK' | 'DAAS_DEVNET_LISTEN';

/** An error of the dev chain: a permanent code, and a sentence that names the value and the fix. */
export class DevnetError extends Error {
  override readonly name = 'DevnetError';
  readonly code: DevnetErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: DevnetErrorCode,
    message: string,
    { cause, details = {} }: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

/** The message of anything thrown, with the messages of its causes, on one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message || error.name;
  if (error.cause === undefined) return own;
  const cause = messageOf(error.cause);
  return own.includes(cause) ? own : `${own}: ${cause}`;
}
