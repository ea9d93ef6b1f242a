import type { Log, LogFields } from '#base';

export interface LogRecord {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps every record for a test to look at. */
export class RecordingLog implements Log {
  readonly records: LogRecord[];
  readonly #bound: LogFields;

  constructor(records: LogRecord[] = [], bound: LogFields = {}) {
    this.records = records;
    this.#bound = bound;
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }
  child(fields: LogFields): Log {
    return new RecordingLog(this.records, { ...this.#bound, ...fields });
  }
  messages(level?: LogRecord['level']): readonly string[] {
    return this.records.filter((record) => !level || record.level === level).map((record) => record.message);
  }

  #write(level: LogRecord['level'], message: string, fields: LogFields = {}): void {
    this.records.push({ level, message, fields: { ...this.#bound, ...fields } });
  }
}
