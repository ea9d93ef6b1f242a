import { DaasError } from '#base';
import type { KubernetesPort } from '#domain';

/** What changes the cluster. */
const writes = new Set<keyof KubernetesPort>([
  'reserveNodePassword',
  'releaseNodePassword',
  'admitName',
  'removeName',
  'relistName',
  'createJoinCredential',
  'revokeJoinCredential',
  'markNode',
  'cordonAndTaint',
  'cordonNode',
  'uncordonNode',
  'removePods',
  'deleteNode',
]);

/** The cluster of a gateway that changes it only while it leads. */
export function fencedCluster(kubernetes: KubernetesPort, mayWrite: () => boolean): KubernetesPort {
  return new Proxy(kubernetes, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      const isWrite = writes.has(name as keyof KubernetesPort);
      return (...given: unknown[]): unknown => {
        if (isWrite && !mayWrite()) return Promise.reject(notActing());
        return Reflect.apply(member, target, given);
      };
    },
  });
}

function notActing(): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_NOT_LEADING',
    'this gateway does not lead: it changes nothing in the cluster',
    { isRetryable: true },
  );
}
