import { type KubeObject, resourceNamed } from './objects.ts';
import { type Store, timestamp } from './store.ts';

/** What a fresh cluster holds. */
export function furnish(
  store: Store,
  nowMs: number,
  { serverNode, clientCa }: { readonly serverNode: string | undefined; readonly clientCa: string },
): void {
  const make = (plural: string, object: KubeObject) => store.create(resourceNamed(plural), object);
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease'])
    make('namespaces', { metadata: { name }, status: { phase: 'Active' } });
  make('configmaps', {
    metadata: { name: 'extension-apiserver-authentication', namespace: 'kube-system' },
    data: { 'client-ca-file': clientCa },
  });
  const role = (name: string, rules: unknown[], user: string) => {
    make('clusterroles', { metadata: { name }, rules });
    make('clusterrolebindings', {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }],
    });
  };
  const watching = ['get', 'list', 'watch'];
  // The identities that every k3s agent shares: kube-proxy's rules are Kubernetes' own, the other ones k3s'.
  role(
    'system:node-proxier',
    [
      { apiGroups: [''], resources: ['services', 'endpoints'], verbs: ['list', 'watch'] },
      { apiGroups: [''], resources: ['nodes'], verbs: watching },
    ],
    'system:kube-proxy',
  );
  role(
    'system:k3s-controller',
    [
      { apiGroups: [''], resources: ['pods', 'namespaces', 'endpoints', 'nodes'], verbs: watching },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    ],
    'system:k3s-controller',
  );
  if (serverNode !== undefined) {
    const at = timestamp(nowMs);
    make('nodes', {
      metadata: { name: serverNode, labels: { 'node-role.kubernetes.io/control-plane': 'true' } },
      spec: {},
      status: {
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'KubeletReady',
            lastHeartbeatTime: at,
            lastTransitionTime: at,
          },
        ],
      },
    });
    make('leases', {
      metadata: { name: serverNode, namespace: 'kube-node-lease' },
      // This Node has no kubelet that would renew it: it is given a long life instead.
      spec: { holderIdentity: serverNode, renewTime: timestamp(nowMs + 365 * 86_400_000) },
    });
  }
}
