import type { KnownLogFields } from './log-fields.ts';

/**
 * Where log records go. Messages are constant sentences, facts are fields, secrets are `Secret`.
 * The host gives an implementation on winston; `silentLog` is for code that is used without one.
 */
export interface Log<Fields = LogFields> {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log whose every record carries these fields too. */
  child(fields: Fields): Log<Fields>;
}

/** The facts of a record of this program: a misspelled name does not compile (log-fields.ts has the names). */
export type LogFields = KnownLogFields;

/** The log of a plugin: the same names, and any others that the plugin needs. */
export type OpenLog = Log<LogFields & Readonly<Record<string, unknown>>>;

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
