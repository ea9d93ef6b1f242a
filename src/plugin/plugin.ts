import type { OpenLog } from '#base';
import type { HostEvents } from './events.ts';
import type { StandardSchema } from './standard-schema.ts';
import type { Point, Token } from './token.ts';

/** The services a plugin asks for, by the name under which `setup` gets them. */
// biome-ignore lint/suspicious/noExplicitAny: a record of tokens of any type; `Services` gives each its own back.
export type Needs = Readonly<Record<string, Token<any>>>;
export type Services<N extends Needs> = {
  readonly [K in keyof N]: N[K] extends Token<infer T> ? T : never;
};

/**
 * A plugin of the host. The host validates the configs of all plugins before it sets up the first, sets them up in the
 * order of `after` (ties: the order of the configuration), and undoes everything a plugin registered, in reverse order,
 * when it stops or when any plugin fails to start.
 */
export interface Plugin<C = unknown, N extends Needs = Needs> {
  /** kebab-case: its name in the configuration, in log records and in error messages. */
  readonly name: string;
  /** The version of this contract; the host refuses any other. */
  readonly api: 1;
  /** Any Standard Schema (zod, valibot, arktype): parses what the configuration gives under `config`. */
  readonly config: StandardSchema<C>;
  readonly needs?: N;
  /** Names of plugins that must be set up before this one, if they are there. */
  readonly after?: readonly string[];
  setup(scope: Scope<C>, needs: Services<N>): void | Promise<void>;
}

/** What a plugin sees of the host. The members are bound: destructure them as you like. */
export interface Scope<C> {
  readonly config: C;
  /** Every record carries `plugin: <name>`. */
  readonly log: OpenLog;
  /** Aborts when the host stops. */
  readonly signal: AbortSignal;
  /** Provides an implementation of an extension point; only during `setup`. */
  readonly provide: <T>(point: Point<T>, implementation: T) => void;
  /**
   * Runs a supervised loop from the moment every plugin is set up; only during `setup`. When `body` throws it is started
   * again after a growing delay, and after too many failures in a row the plugin counts as failed. `body` ends when its
   * signal aborts.
   */
  readonly run: (task: string, body: (signal: AbortSignal) => Promise<void>) => void;
  readonly on: <E extends keyof HostEvents>(event: E, listener: (fact: HostEvents[E]) => void) => void;
  readonly emit: <E extends keyof HostEvents>(event: E, fact: HostEvents[E]) => void;
  /**
   * Says how the plugin does. The host asks every second and whenever its own health is read. While any check is not
   * ready, a joined host is in the phase `degraded`.
   */
  readonly health: (check: () => Health) => void;
  /** Undone last in, first out. */
  readonly release: (what: string, undo: () => unknown) => void;
}

export interface Health {
  /** false: this will not get better by itself. */
  readonly live: boolean;
  /** false: it does not do its work now. */
  readonly ready: boolean;
  /** One sentence for a human. */
  readonly detail: string;
}

/** Checks nothing at run time; it infers the types of `config` and `needs` for `setup`. */
export function definePlugin<C, const N extends Needs = Record<never, never>>(
  plugin: Plugin<C, N>,
): Plugin<C, N> {
  return plugin;
}
