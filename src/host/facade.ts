import type { Clock } from '#base';
import type { Point } from '#plugin';
import { withDeadline } from './deadline.ts';
import { PluginError } from './errors.ts';

export interface FacadeOptions {
  readonly plugin: string;
  readonly clock: Clock;
  /** For calls that take no signal; a call that takes one is ended by whoever gave it. */
  readonly deadlineMs: number;
}

/**
 * Stands between the host and what a plugin provided: whatever goes wrong in a call comes out as a `PluginError` that
 * begins with plugin and point (`registration(JoinCredentialSource): …`). When the caller's own signal aborted, its
 * reason passes as it is.
 */
export function facade<T>(
  point: Point<T>,
  implementation: T,
  { plugin, clock, deadlineMs }: FacadeOptions,
): T {
  if (typeof implementation !== 'object' || implementation === null) return implementation;
  const where = pascalCase(point.name);
  return new Proxy(implementation as object, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const signal = args.find((argument) => argument instanceof AbortSignal);
        const fail = (cause: unknown): never => {
          if (signal?.aborted && cause === signal.reason) throw cause;
          throw new PluginError(plugin, 'call', where, cause);
        };
        let result: unknown;
        try {
          result = value.apply(target, args);
        } catch (cause) {
          return fail(cause);
        }
        if (!isThenable(result)) return result;
        const promised = Promise.resolve(result);
        const bounded = signal
          ? promised
          : withDeadline(promised, { what: `${where}.${String(property)}`, deadlineMs, clock });
        return bounded.catch(fail);
      };
    },
  }) as T;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** `join-credential-source` → `JoinCredentialSource`, the name the contract knows the point by. */
function pascalCase(kebab: string): string {
  return kebab.replace(/(?:^|-)([a-z])/g, (_all, letter: string) => letter.toUpperCase());
}
