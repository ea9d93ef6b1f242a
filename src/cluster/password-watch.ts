import type { V1Secret } from '@kubernetes/client-node';
import { type ForeignPassword, type ForeignPasswordChange, isNodeId } from '#domain';
import type { KubernetesContext } from './kubernetes.ts';
import { nodePasswordOf } from './node-passwords.ts';
import { type WatchedKind, watchObjects } from './object-watch.ts';
import { SYSTEM_NAMESPACE } from './words.ts';

/**
 * Older k3s gives its password Secrets no type of their own, so they are found by their names. What is large or changes often
 * and is no password is left out: Helm keeps whole releases in Secrets of kube-system.
 */
const fieldSelector = 'type!=helm.sh/release.v1,type!=bootstrap.kubernetes.io/token';

/** Reports the password Secrets that are not the gateway's, then every change of them, until the signal aborts. */
export function watchForeignPasswords(
  context: KubernetesContext,
  listener: (change: ForeignPasswordChange) => void,
  signal: AbortSignal,
): Promise<void> {
  const { api } = context;
  const secrets: WatchedKind<V1Secret, ForeignPasswordChange> = {
    what: 'node passwords',
    path: `/api/v1/namespaces/${SYSTEM_NAMESPACE}/secrets`,
    query: { fieldSelector },
    async list(until) {
      const list = await api.call(
        'list the node passwords',
        (given) => api.core.listNamespacedSecret({ namespace: SYSTEM_NAMESPACE, fieldSelector }, given),
        { signal: until },
      );
      return { items: list.items, version: list.metadata?.resourceVersion ?? '' };
    },
    broken: { kind: 'unwatched' },
    listed: (objects) => ({
      kind: 'listed',
      passwords: objects.map(foreignPasswordOf).filter((password) => password !== undefined),
    }),
    changed(phase, object) {
      const password = foreignPasswordOf(object);
      return password && { kind: phase === 'deleted' ? 'deleted' : 'added', password };
    },
  };
  return watchObjects(context, secrets, listener, signal);
}

/** `undefined` for any other Secret, and for a password that carries the gateway's mark. */
function foreignPasswordOf(secret: V1Secret): ForeignPassword | undefined {
  const password = nodePasswordOf(secret);
  if (!password || password.recordId !== undefined || !isNodeId(password.nodeId)) return undefined;
  return { nodeId: password.nodeId, uid: secret.metadata?.uid ?? '' };
}
