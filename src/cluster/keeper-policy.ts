import { bindableRoles } from './person-roles.ts';
import { celList, celText, everywhere, forbid, type PolicyPair, pair } from './policy-pair.ts';
import { LIMITS_NAME, NETWORK_POLICY_NAMES, QUOTA_NAME, ROLE_BINDING_PREFIX } from './tenant-objects.ts';
import { KEEPER_USER } from './tenant-rights.ts';
import { atLeast, PLACEMENTS, POD_SECURITY_LEVELS, strictTerms, type TenantTerms } from './tenant-terms.ts';
import { MANAGED_BY, OURS, TENANT_ENDED, TENANT_OWNER, TENANT_PLACEMENT } from './words.ts';

const ENFORCE = 'pod-security.kubernetes.io/enforce';
const rbac = 'rbac.authorization.k8s.io';

const labelOf = (object: string, label: string) =>
  `(has(${object}.metadata.labels) && '${label}' in ${object}.metadata.labels ? ${object}.metadata.labels['${label}'] : '')`;
const isOwned = (object: string) => `${labelOf(object, TENANT_OWNER)} != ''`;

const isDeleted = "request.operation == 'DELETE'";
const isNamespace = "variables.kind == '/namespaces'";
/** A rule about what the keeper writes of one kind; what it deletes has a rule of its own. */
const ofKind = (kind: string, expression: string) =>
  `variables.kind != ${celText(kind)} || ${isDeleted} || (${expression})`;

/** What is deleted: our bindings, and with the operator's word the namespace of a stake that has ended. */
function mayDelete({ removesNamespaces }: TenantTerms): string {
  const ours = `oldObject.metadata.name.startsWith('${ROLE_BINDING_PREFIX}') && ${labelOf('oldObject', MANAGED_BY)} == '${OURS}'`;
  const binding = `variables.kind == '${rbac}/rolebindings' && ${ours}`;
  const ended = `${isNamespace} && ${isOwned('oldObject')} && has(oldObject.metadata.annotations) && '${TENANT_ENDED}' in oldObject.metadata.annotations`;
  return removesNamespaces ? `(${binding}) || (${ended})` : binding;
}

/** A binding gives a role that is shipped, or mapped by the operator, to the groups of the namespace's own wallet. */
function bindingRules({ ownRoles }: TenantTerms) {
  const kind = `${rbac}/rolebindings`;
  const roles = [...new Set([...bindableRoles(), ...ownRoles])];
  return [
    forbid(
      'this account binds to the groups of the wallet whose namespace it is, and to nobody else',
      ofKind(
        kind,
        "has(object.subjects) && object.subjects.all(s, s.kind == 'Group' && s.name.startsWith('seal:own:0x' + request.namespace.substring(5)) && s.name.matches('^seal:own:0x[0-9a-f]{64}:[a-z0-9*./-]+:[a-z0-9*./-]+$'))",
      ),
    ),
    forbid(
      'this account binds the shipped roles, and those of gateway.tenants.roles that `gateway setup` has seen',
      ofKind(kind, `object.roleRef.kind == 'ClusterRole' && object.roleRef.name in ${celList(roles)}`),
    ),
  ];
}

function namespaceRules({ placement, podSecurity }: TenantTerms) {
  const levels = atLeast(POD_SECURITY_LEVELS, podSecurity);
  const version = labelOf('object', `${ENFORCE}-version`);
  return [
    forbid(
      `the Pod Security of these namespaces is at least ${podSecurity}: after another gateway.tenants.podSecurity run gateway setup`,
      ofKind(
        '/namespaces',
        `${labelOf('object', ENFORCE)} in ${celList(levels)} && ${version} in ['', 'latest']`,
      ),
    ),
    forbid(
      `the placement of these namespaces is at least ${placement}: after another gateway.tenants.placement run gateway setup`,
      ofKind(
        '/namespaces',
        `${labelOf('object', TENANT_PLACEMENT)} in ${celList(atLeast(PLACEMENTS, placement))}`,
      ),
    ),
  ];
}

/** RBAC cannot say where and to whom the keeper may bind, nor how weak it may make a namespace: a stolen keeper would be root. */
export function keeperPolicy(terms: TenantTerms = strictTerms): PolicyPair {
  const written = `object.metadata.name.matches('^seal-[0-9a-f]{40}$') && ${isOwned('object')} && (oldObject == null || ${labelOf('oldObject', TENANT_OWNER)} == ${labelOf('object', TENANT_OWNER)})`;
  const names: ReadonlyArray<readonly [kind: string, names: readonly string[]]> = [
    ['/resourcequotas', [QUOTA_NAME]],
    ['/limitranges', [LIMITS_NAME]],
    ['networking.k8s.io/networkpolicies', NETWORK_POLICY_NAMES],
  ];
  const kinds = ['/namespaces', '/events', `${rbac}/rolebindings`, ...names.map(([kind]) => kind)];
  return pair('k3s-daas-tenants', {
    ...everywhere(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
    matchConditions: [
      { name: 'by-the-keeper', expression: `request.userInfo.username == ${celText(KEEPER_USER)}` },
    ],
    variables: [
      {
        name: 'kind',
        expression:
          "request.resource.group + '/' + request.resource.resource + (has(request.subResource) && request.subResource != '' ? '/' + request.subResource : '')",
      },
    ],
    validations: [
      forbid(
        `only namespaces with the label ${TENANT_OWNER} are this account’s to write`,
        `${isNamespace} ? (${isDeleted} || (${written})) : (namespaceObject != null && ${isOwned('namespaceObject')})`,
      ),
      forbid(
        'this account writes namespaces of people, and in them quotas, limits, network policies, role bindings and events',
        `variables.kind in ${celList(kinds)} && request.operation != 'CONNECT'`,
      ),
      forbid(
        'this account deletes its own role bindings, and namespaces whose stake has ended if the operator wants it so',
        `!(${isDeleted}) || (${mayDelete(terms)})`,
      ),
      forbid(
        'this account writes the objects of its own names alone',
        `${isDeleted} || (${[
          ...names.map(
            ([kind, known]) => `(variables.kind != '${kind}' || object.metadata.name in ${celList(known)})`,
          ),
          `(variables.kind != '${rbac}/rolebindings' || object.metadata.name.startsWith('${ROLE_BINDING_PREFIX}'))`,
        ].join(' && ')})`,
      ),
      ...bindingRules(terms),
      ...namespaceRules(terms),
    ],
  });
}
