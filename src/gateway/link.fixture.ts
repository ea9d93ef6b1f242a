import type { KubernetesPort } from '#domain';
import type { FakeKubernetes } from '#testing';

/** A gateway's connection to the cluster, as `kill -9` ends it. */
export interface Link {
  readonly port: KubernetesPort;
  /** Calls neither arrive nor come back. */
  cut(): void;
  /** What hangs fails at last, so that it can be cleaned up. */
  bury(): void;
}

/** The connection of one gateway. */
export function linkTo(kubernetes: FakeKubernetes, caller = ''): Link {
  const grave = Promise.withResolvers<never>();
  grave.promise.catch(() => undefined);
  let isCut = false;
  const port = new Proxy(kubernetes, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return async (...given: unknown[]): Promise<unknown> => {
        if (isCut) return grave.promise;
        // For a hook of the test, which is called in the same turn.
        kubernetes.caller = caller;
        const answer: unknown = await Promise.race([Reflect.apply(member, target, given), grave.promise]);
        return isCut ? grave.promise : answer;
      };
    },
  });
  return {
    port,
    cut: () => {
      isCut = true;
    },
    bury: () => grave.reject(new Error('this gateway was killed')),
  };
}
