import { messageOf } from '#base';
import type { Health } from '#plugin';

export interface HostHealth {
  /** Every plugin is set up. */
  readonly started: boolean;
  /** false: this does not recover by itself. */
  readonly live: boolean;
  /** false: the host cannot do its work now; `details` says why. */
  readonly ready: boolean;
  readonly details: Readonly<Record<string, Health>>;
}

export interface HealthRegistry {
  /** Returns a function that removes the check. A name that is taken gets a number: `heartbeat-2`. */
  add(name: string, check: () => Health): () => void;
  started(): void;
  read(): HostHealth;
  /** Name and detail of every check that is not ready or not live. */
  notReady(): ReadonlyArray<readonly [name: string, detail: string]>;
}

/** Collects the health checks of the host and its plugins. A check runs when the health is read. */
export function createHealthRegistry(): HealthRegistry {
  const checks = new Map<string, () => Health>();
  let isStarted = false;
  const readAll = () => Array.from(checks, ([name, check]) => [name, ask(check)] as const);
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
      const details: Readonly<Record<string, Health>> = Object.fromEntries(readAll());
      const all = Object.values(details);
      return {
        started: isStarted,
        live: all.every((health) => health.live),
        ready: isStarted && all.every((health) => health.ready),
        details,
      };
    },
    notReady: () =>
      readAll()
        .filter(([, { live, ready }]) => !live || !ready)
        .map(([name, { detail }]) => [name, detail] as const),
  };
}

function ask(check: () => Health): Health {
  try {
    const { live, ready, detail } = check();
    return { live, ready, detail };
  } catch (error) {
    // A broken check says nothing about liveness: a restart of the host would not repair it.
    return { live: true, ready: false, detail: `the check itself failed: ${messageOf(error)}` };
  }
}
