import { DaasError } from '#base';
import type { KubernetesPort } from '#domain';

/** Each of the port: one that is added later has to be judged here. */
const effects: Readonly<Record<keyof KubernetesPort, 'reads' | 'writes'>> = {
  node: 'reads',
  nodes: 'reads',
  leaseRenewedAtMs: 'reads',
  watchNodes: 'reads',
  nodePassword: 'reads',
  watchForeignPasswords: 'reads',
  admittedNames: 'reads',
  admittedName: 'reads',
  showsCertificates: 'reads',
  clientAuthorities: 'reads',
  joinCredentials: 'reads',
  reserveNodePassword: 'writes',
  releaseNodePassword: 'writes',
  admitName: 'writes',
  removeName: 'writes',
  relistName: 'writes',
  renewNames: 'writes',
  holdAddresses: 'writes',
  createJoinCredential: 'writes',
  revokeJoinCredential: 'writes',
  markNode: 'writes',
  cordonAndTaint: 'writes',
  cordonNode: 'writes',
  uncordonNode: 'writes',
  removePods: 'writes',
  deleteNode: 'writes',
};

/** The cluster of a gateway that changes it only while it leads. */
export function fencedCluster(kubernetes: KubernetesPort, mayWrite: () => boolean): KubernetesPort {
  return new Proxy(kubernetes, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      const isWrite = effects[name as keyof KubernetesPort] === 'writes';
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
