import type { KnownLogFields } from './log-fields.ts';

/**
 * Where log records go. Messages are constant sentences, facts are fields, secrets are `Secret`.
 * The host gives an implementation on winston; `silentLog` is for code that is used without one.
 */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every record carries these fields too. */
  child(fields: LogFields): Log;
}
/** The names that this project has (log-fields.ts), and whatever else a plugin wants to write. */
export type LogFields = KnownLogFields & Readonly<Record<string, unknown>>;

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
