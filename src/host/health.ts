import { messageOf } from '#base';
import type { Health } from '#plugin';

export interface HostHealth {
  /** Every plugin has been set up. */
  readonly started: boolean;
  /** false: it will not get better by itself. */
  readonly live: boolean;
  /** false: the host does not do its work now; `details` says why. */
  readonly ready: boolean;
  readonly details: Readonly<Record<string, Health>>;
}

export interface HealthRegistry {
  /** Returns how to take the check back. A name that is taken gets a number. */
  add(name: string, check: () => Health): () => void;
  started(): void;
  read(): HostHealth;
}

/** Gathers what the parts say of themselves; who asks (an HTTP route, a status line) is none of its business. */
export function createHealthRegistry(): HealthRegistry {
  const checks = new Map<string, () => Health>();
  let isStarted = false;
  return {
    add(name, check) {
      let own = name;
      for (let number = 2; checks.has(own); number += 1) own = `${name}-${number}`;
      checks.set(own, check);
      return () => void checks.delete(own);
    },
    started() {
      isStarted = true;
    },
    read() {
      const details: Record<string, Health> = {};
      for (const [name, check] of checks) details[name] = ask(check);
      const all = Object.values(details);
      return {
        started: isStarted,
        live: all.every((health) => health.live),
        ready: isStarted && all.every((health) => health.ready),
        details,
      };
    },
  };
}

function ask(check: () => Health): Health {
  try {
    const { live, ready, detail } = check();
    return { live, ready, detail };
  } catch (error) {
    // A broken check says nothing of liveness: restarting the host for it would help nobody.
    return { live: true, ready: false, detail: `the check itself failed: ${messageOf(error)}` };
  }
}
