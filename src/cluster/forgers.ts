import type { V1ClusterRole, V1ClusterRoleBinding, V1PolicyRule } from '@kubernetes/client-node';
import { absentIsFine } from './kube-api.ts';
import type { SetupContext } from './setup.ts';
import { CLIENT_CA_CONFIG_MAP, SYSTEM_NAMESPACE } from './words.ts';

/** Somebody who can make the API server believe in a certificate that is not there. */
export interface Forger {
  /** `ServiceAccount kube-system/helper`, `Group ops`, `the front proxy` */
  readonly subject: string;
  readonly why: string;
}

/** Members of this group pass before any authorizer: they are the operator. */
const MASTERS = 'system:masters';

/**
 * Finds who may forge the fingerprint of a certificate: by impersonating with extras (RBAC), or as a front proxy. The right to
 * impersonate is asked for without a namespace, so that only ClusterRoleBindings give it.
 */
export async function findForgers(context: Pick<SetupContext, 'api' | 'signal'>): Promise<readonly Forger[]> {
  const { api, signal } = context;
  const [roles, bindings] = await Promise.all([
    api.call('read the ClusterRoles', (given) => api.rbac.listClusterRole({}, given), { signal }),
    api.call('read the ClusterRoleBindings', (given) => api.rbac.listClusterRoleBinding({}, given), {
      signal,
    }),
  ]);
  return [...forgersByRights(roles.items, bindings.items), ...(await forgersByFrontProxy(context))];
}

/** Pure. */
export function forgersByRights(
  roles: readonly V1ClusterRole[],
  bindings: readonly V1ClusterRoleBinding[],
): readonly Forger[] {
  const givenBy = new Map(
    roles.flatMap(({ metadata, rules }) => {
      const rule = rules?.find(forges);
      return rule ? [[metadata?.name ?? '', rule] as const] : [];
    }),
  );
  return bindings.flatMap(({ metadata, roleRef, subjects }) => {
    const rule = givenBy.get(roleRef.name);
    if (!rule) return [];
    return (subjects ?? [])
      .filter(({ kind, name }) => !(kind === 'Group' && name === MASTERS))
      .map(({ kind, namespace, name }) => ({
        subject: `${kind} ${namespace ? `${namespace}/` : ''}${name}`,
        why: `may ${rule.verbs.join(', ')} on ${(rule.resources ?? []).join(', ')} (ClusterRole ${roleRef.name}, ClusterRoleBinding ${metadata?.name})`,
      }));
  });
}

/** An extra is asked for as `userextras/<key>` in `authentication.k8s.io`, with `impersonate` and, since 1.36, `impersonate:<mode>`. */
function forges({ apiGroups, resources, verbs }: V1PolicyRule): boolean {
  return (
    (apiGroups ?? []).some((group) => group === '*' || group === 'authentication.k8s.io') &&
    (resources ?? []).some(isExtraThatDecides) &&
    verbs.some((verb) => verb === '*' || verb.startsWith('impersonate'))
  );
}

const keysThatDecide = [
  'authentication.kubernetes.io/credential-id',
  'authentication.kubernetes.io/node-name',
];

/** RBAC knows `*`, `<resource>/<subresource>` and any resource with `/<subresource>`; `userextras/*` gives nothing (measured on 1.36.3). */
function isExtraThatDecides(resource: string): boolean {
  return (
    resource === '*' ||
    keysThatDecide.some((key) => resource === `userextras/${key}` || resource === `*/${key}`)
  );
}

async function forgersByFrontProxy({
  api,
  signal,
}: Pick<SetupContext, 'api' | 'signal'>): Promise<readonly Forger[]> {
  const found = await absentIsFine(
    api.call(
      'read who may be a front proxy',
      (given) =>
        api.core.readNamespacedConfigMap({ name: CLIENT_CA_CONFIG_MAP, namespace: SYSTEM_NAMESPACE }, given),
      { signal },
    ),
  );
  return frontProxies(found?.data ?? {});
}

/** What the API server takes from a front proxy is as good as what it has seen itself. Pure. */
export function frontProxies(data: Readonly<Record<string, string>>): readonly Forger[] {
  const names = data['requestheader-allowed-names'];
  const proxyCa = data['requestheader-client-ca-file']?.trim();
  if (!proxyCa || (names !== undefined && names !== '[]' && names !== 'null')) return [];
  const isShared = proxyCa === data['client-ca-file']?.trim();
  return [
    {
      subject: isShared
        ? 'every client certificate of the cluster'
        : 'every certificate of the front proxy’s CA',
      why: 'may be a front proxy and send any fingerprint: the API server has no requestheader-allowed-names',
    },
  ];
}
