import { type Clock, ConfigurationError, DaasError } from '#base';
import type { Point, ReplyCheck } from '#plugin';
import { withDeadline } from './deadline.ts';
import { PluginError } from './errors.ts';

export interface FacadeOptions {
  readonly plugin: string;
  readonly clock: Clock;
  /** For calls without a signal; the caller's signal ends the others. */
  readonly deadlineMs: number;
}

/**
 * Wraps what a plugin provides. A call that fails, or a reply that the point does not allow, becomes a `PluginError` whose
 * message begins with plugin and point: `registration(JoinCredentialSource): …`. The reason of the caller's own aborted
 * signal is thrown unchanged.
 */
export function facade<T>(
  point: Point<T>,
  implementation: T,
  { plugin, clock, deadlineMs }: FacadeOptions,
): T {
  const where = pascalCase(point.name);
  expectMethods(point, implementation, plugin);
  if (typeof implementation !== 'object' || implementation === null) return implementation;
  return new Proxy(implementation as object, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const check = checkOf(point, property);
      return (...args: unknown[]) => {
        const signal = args.find((argument) => argument instanceof AbortSignal);
        const fail = (cause: unknown): never => {
          if (signal?.aborted && cause === signal.reason) throw cause;
          throw new PluginError(plugin, 'call', where, cause);
        };
        const checked = (reply: unknown) => {
          const problem = check?.(reply);
          return problem === undefined ? reply : fail(replyWrong(String(property), problem));
        };
        let result: unknown;
        try {
          result = value.apply(target, args);
        } catch (cause) {
          return fail(cause);
        }
        if (!isThenable(result)) return checked(result);
        const promised = Promise.resolve(result);
        const bounded = signal
          ? promised
          : withDeadline(promised, { what: `${where}.${String(property)}`, deadlineMs, clock });
        return bounded.then(checked, fail);
      };
    },
  }) as T;
}

/** Refuses an implementation without a method of the point during `setup`, not when the method is called. */
function expectMethods<T>(point: Point<T>, implementation: T, plugin: string): void {
  const members = (implementation ?? {}) as Readonly<Record<string, unknown>>;
  const wrong = Object.keys(point.optionalReplies).filter((name) => members[name] !== undefined);
  const missing = [...Object.keys(point.replies), ...wrong].filter(
    (name) => typeof members[name] !== 'function',
  );
  if (missing.length === 0) return;
  throw new ConfigurationError(
    'DAAS_PLUGIN_SHAPE',
    `what '${plugin}' provides as ${point.name} lacks the method${missing.length === 1 ? '' : 's'} ${missing.join(', ')}: install a release of the plugin that has ${missing.length === 1 ? 'it' : 'them'}`,
    { details: { plugin, point: point.name, missing } },
  );
}

function checkOf<T>(point: Point<T>, property: string | symbol): ReplyCheck | undefined {
  if (typeof property !== 'string') return undefined;
  return point.replies[property] ?? point.optionalReplies[property];
}

function replyWrong(method: string, problem: string): DaasError {
  return new DaasError(
    'DAAS_PLUGIN_REPLY',
    `the reply of ${method} is not what the contract promises: ${problem}`,
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** `join-credential-source` → `JoinCredentialSource`, the point's name in the contract. */
function pascalCase(kebab: string): string {
  return kebab.replace(/(?:^|-)([a-z])/g, (_all, letter: string) => letter.toUpperCase());
}
