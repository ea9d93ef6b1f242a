import type { V1RuleWithOperations } from '@kubernetes/client-node';
import { keeperPolicy } from './keeper-policy.ts';
import { celText, forbid, matching, type PolicyPair, pair, strict } from './policy-pair.ts';
import { KEEPER_USER } from './tenant-rights.ts';
import { strictTerms, type TenantTerms } from './tenant-terms.ts';
import { NODE_OWNER, NODE_TIER, OURS, TENANT_OWNER, TENANT_PLACEMENT } from './words.ts';

const rbac = 'rbac.authorization.k8s.io';

/** All policies about the namespaces of people. */
export const tenantPolicies = (terms: TenantTerms = strictTerms): PolicyPair[] => [
  keeperPolicy(terms),
  placementPolicy(),
  ownPlacementPolicy(),
  tenantServicesPolicy(),
  tenantIngressesPolicy(),
  tenantNetworksPolicy(),
  tenantLimitsPolicy(),
];

const rule = (group: string, resources: string[], operations: string[]): V1RuleWithOperations => ({
  apiGroups: [group],
  apiVersions: ['v1'],
  operations,
  resources,
});

const inTenants = (...rules: V1RuleWithOperations[]) =>
  matching(rules, { matchExpressions: [{ key: TENANT_OWNER, operator: 'Exists' }] });

/**
 * Everybody but the keeper and who may delete every namespace: administrators, and the controllers that end a namespace. A
 * role that the operator binds within the namespace, `cluster-admin` too, is no exemption.
 */
const byOthers = [
  {
    name: 'not-the-keeper',
    expression: `request.userInfo.username != ${celText(KEEPER_USER)}`,
  },
  {
    name: 'not-an-administrator',
    expression: "!authorizer.group('').resource('namespaces').check('delete').allowed()",
  },
];

/** An external address, or a port of every node, takes traffic that is meant for others (CVE-2020-8554). */
function tenantServicesPolicy(): PolicyPair {
  const type = (object: string) => `(has(${object}.spec.type) ? ${object}.spec.type : 'ClusterIP')`;
  const addresses = (object: string) => `(has(${object}.spec.externalIPs) ? ${object}.spec.externalIPs : [])`;
  return pair('k3s-daas-tenant-services', {
    ...inTenants(rule('', ['services'], ['CREATE', 'UPDATE'])),
    matchConditions: byOthers,
    validations: [
      forbid(
        'services in the namespace of a wallet are of type ClusterIP: what is to be reached from outside, the operator of the cluster makes',
        `${type('object')} == 'ClusterIP' || (oldObject != null && ${type('oldObject')} == ${type('object')})`,
      ),
      forbid(
        'services in the namespace of a wallet have no externalIPs: they would take the traffic of others',
        `${addresses('object')}.all(a, oldObject != null && a in ${addresses('oldObject')})`,
      ),
    ],
  });
}

/**
 * Ingress controllers merge the rules of all namespaces: one that names another's host, or none, takes its traffic. A host with
 * the namespace among its labels is nobody else's, whatever the domain.
 */
function tenantIngressesPolicy(): PolicyPair {
  const rules = (object: string) => `(has(${object}.spec.rules) ? ${object}.spec.rules : [])`;
  const tls = (object: string) =>
    `(has(${object}.spec.tls) ? ${object}.spec.tls.filter(t, has(t.hosts)) : [])`;
  const named = (object: string, host: string) =>
    `(${rules(object)}.exists(o, has(o.host) ? o.host == ${host} : ${host} == '') || ${tls(object)}.exists(o, ${host} in o.hosts))`;
  const allowed = (host: string) =>
    `(request.namespace in ${host}.split('.') || (oldObject != null && ${named('oldObject', host)}))`;
  return pair('k3s-daas-tenant-ingresses', {
    ...inTenants(rule('networking.k8s.io', ['ingresses'], ['CREATE', 'UPDATE'])),
    matchConditions: byOthers,
    validations: [
      forbid(
        'every host of an ingress in the namespace of a wallet has the name of the namespace as one of its labels, as app.NAMESPACE.example.com; the operator of the cluster can set other hosts',
        `${rules('object')}.map(r, has(r.host) ? r.host : '').all(h, ${allowed('h')}) && ${tls('object')}.all(t, t.hosts.all(h, ${allowed('h')}))`,
      ),
      forbid(
        'an ingress in the namespace of a wallet has no default backend: it would take the traffic of every host that no ingress names',
        '!has(object.spec.defaultBackend) || (oldObject != null && has(oldObject.spec.defaultBackend))',
      ),
    ],
  });
}

/** Network policies add up: one that opens the namespace would undo those of the keeper. */
function tenantNetworksPolicy(): PolicyPair {
  const within = (member: string, peers: string) =>
    `(!has(object.spec.${member}) || object.spec.${member}.all(r, has(r.${peers}) && size(r.${peers}) > 0 && r.${peers}.all(p, has(p.podSelector) && !has(p.namespaceSelector) && !has(p.ipBlock))))`;
  return pair('k3s-daas-tenant-networks', {
    ...inTenants(rule('networking.k8s.io', ['networkpolicies'], ['CREATE', 'UPDATE'])),
    matchConditions: byOthers,
    validations: [
      forbid(
        'network policies in the namespace of a wallet name pods of that namespace alone: what leads out of it, the operator of the cluster opens',
        `${within('ingress', 'from')} && ${within('egress', 'to')}`,
      ),
    ],
  });
}

const isOthers = (object: string) =>
  `(${object} == null || !has(${object}.metadata.name) || !${object}.metadata.name.startsWith('${OURS}'))`;

/** What the keeper has made: its owner could take off their own limits. */
function tenantLimitsPolicy(): PolicyPair {
  const operations = ['CREATE', 'UPDATE', 'DELETE'];
  return pair('k3s-daas-tenant-limits', {
    ...inTenants(
      rule('', ['resourcequotas', 'limitranges'], operations),
      rule('networking.k8s.io', ['networkpolicies'], operations),
      rule(rbac, ['rolebindings'], operations),
    ),
    matchConditions: byOthers,
    validations: [
      forbid(
        'what begins with k3s-daas in the namespace of a wallet is kept by the gateway',
        // The name of the request is empty when a collection is deleted.
        `${isOthers('object')} && ${isOthers('oldObject')}`,
      ),
    ],
  });
}

const hasNoNode = "(!has(object.spec.nodeName) || object.spec.nodeName == '')";

function podsOf(placement: 'own' | 'staked') {
  const base = strict(['pods'], ['CREATE']);
  return {
    ...base,
    matchConstraints: Object.assign({}, base.matchConstraints, {
      namespaceSelector: { matchLabels: { [TENANT_PLACEMENT]: placement } },
    }),
  };
}

/** Pods of people run on staked nodes, where the operator wants it so: never on a server, nor where no taint keeps them off. */
function placementPolicy(): PolicyPair {
  return pair('k3s-daas-tenant-placement', {
    ...podsOf('staked'),
    validations: [
      forbid(
        'pods of this namespace run on staked nodes',
        `has(object.spec.nodeSelector) && '${NODE_TIER}' in object.spec.nodeSelector && ${hasNoNode}`,
        `'pods of this namespace run on staked nodes: add nodeSelector ${NODE_TIER}=standard (or another tier), the toleration of the taint k3s-daas.io/staked, and no nodeName'`,
      ),
    ],
  });
}

/** With `placement: own` they run on the staked nodes of their own wallet. */
function ownPlacementPolicy(): PolicyPair {
  return pair('k3s-daas-tenant-own-placement', {
    ...podsOf('own'),
    validations: [
      forbid(
        'pods of this namespace run on the staked nodes of its own wallet',
        `has(object.spec.nodeSelector) && '${NODE_OWNER}' in object.spec.nodeSelector && object.spec.nodeSelector['${NODE_OWNER}'] == namespaceObject.metadata.labels['${TENANT_OWNER}'] && ${hasNoNode}`,
        `'pods of this namespace run on the staked nodes of its own wallet: add nodeSelector ${NODE_OWNER}=' + namespaceObject.metadata.labels['${TENANT_OWNER}'] + ', the toleration of the taint k3s-daas.io/staked, and no nodeName'`,
      ),
    ],
  });
}
