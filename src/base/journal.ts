/**
 * Small facts that must survive `kill -9`: a key-value document, durable (file and directory synced) before `write`
 * resolves, and replaced as a whole, so that a reader finds the old or the new state and nothing between.
 * Values are JSON; the reader of a key parses what it finds.
 */
export interface Journal {
  read(key: string): unknown;
  keys(): readonly string[];
  write(key: string, value: unknown): Promise<void>;
  remove(key: string): Promise<void>;
  /** The same journal, every key prefixed with `<name>/`. */
  section(name: string): Journal;
}
