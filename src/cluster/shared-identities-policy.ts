import { CERTIFICATES, NODE_NAMES } from './name-role.ts';
import { celNamespaceOfName } from './name-shards.ts';
import { allowed, credentialVariable } from './policy-authority.ts';
import { celList, forbid, type PolicyPair, pair, strict } from './policy-pair.ts';

/** The users whose certificates k3s gives to every agent, for a year. */
export const SHARED_IDENTITIES = ['system:kube-proxy', 'system:k3s-controller'] as const;

const flannel = (key: string) => `flannel.alpha.coreos.com/${key}`;
/** Addresses to which the other nodes send what is meant for this one's pods. */
const publicAddressKeys = [flannel('public-ip'), flannel('public-ipv6')];
export const managedKey = flannel('kube-subnet-manager');
/** All that flannel writes. No prefix: `public-ip-overwrite` would move the address at the Node's next start. */
export const FLANNEL_KEYS = [
  flannel('backend-type'),
  flannel('backend-data'),
  flannel('backend-v6-data'),
  ...publicAddressKeys,
  managedKey,
];
/** What flannel writes has some 60 characters; all annotations of a Node together have 256 KiB. */
export const FLANNEL_VALUE_LIMIT = 4_096;

/**
 * Annotations in which a Node's own kubelet certificate, or an administrator, names its addresses. k3s copies them to
 * `status.addresses` up to a minute later: an agent that returns with a new address must not wait for that, since
 * flannel gives up after 30 s and the agent ends.
 */
export const ADDRESS_KEYS = [
  flannel('public-ip-overwrite'),
  flannel('public-ipv6-overwrite'),
  'k3s.io/internal-ip',
  'k3s.io/external-ip',
  'alpha.kubernetes.io/provided-node-ip',
];

const name = 'k3s-daas-shared-identities';
const isUpdate = "request.operation == 'UPDATE'";
/** A rule about an update. The others are refused by a rule of their own, with their own sentence. */
const onUpdate = (message: string, expression: string, messageExpression?: string) =>
  forbid(message, `!(${isUpdate}) || (${expression})`, messageExpression);

const mapOf = (object: string, member: 'labels' | 'annotations') =>
  `has(${object}.metadata.${member}) ? ${object}.metadata.${member} : {}`;
const wholeOf = (object: string, member: 'spec' | 'status') =>
  `has(${object}.${member}) ? dyn(${object}.${member}) : dyn({})`;
const conditionsOf = (object: string) =>
  `has(${object}.status) && has(${object}.status.conditions) ? ${object}.status.conditions : []`;
const isUnchanged = (key: string) =>
  `(${key} in variables.oldAnnotations && variables.oldAnnotations[${key}] == variables.annotations[${key}])`;
const isNamed = (address: string) =>
  `(variables.addresses.exists(a, a.type in ['InternalIP', 'ExternalIP'] && a.address == ${address}) || ${celList(ADDRESS_KEYS)}.exists(n, n in variables.oldAnnotations && variables.oldAnnotations[n].split(',').exists(p, p.trim() == ${address})))`;
const isForeignAddress = `!(k in variables.annotations) || ${isUnchanged('k')} || ${isNamed('variables.annotations[k]')}`;

/** The Node that this certificate is vouched for, or one of whose agent no certificate is known: the operator's own. */
const isVouched = `size(variables.credential) == 64 && ${allowed({
  resource: CERTIFICATES,
  namespace: 'variables.home',
  name: "oldObject.metadata.name + '.' + variables.credential",
  verb: 'annotate',
})}`;
// kube-proxy, which has a rule of its own, has no Node either.
const isOwnNode = `request.userInfo.username == 'system:kube-proxy' || variables.isVouched || ${allowed({
  resource: NODE_NAMES,
  namespace: 'variables.home',
  name: 'oldObject.metadata.name',
  verb: 'annotate',
})}`;

/**
 * Writes to Nodes by the identities that all agents share. k3s needs one kind of them: flannel's annotations, and in
 * some set-ups that the network is up. RBAC gives `system:k3s-controller` the patch of every Node's status, and with it
 * every Node's labels, annotations, finalizers and conditions: without this a slashed worker can make any Node NotReady
 * or itself the next hop of another one's pods. It names addresses that only the Node's own kubelet can have given.
 */
export function sharedIdentitiesPolicy(): PolicyPair {
  return pair(name, {
    // These are all of a Node's resources that a write reaches; a proxied connection is none.
    ...strict(['nodes', 'nodes/status'], ['CREATE', 'UPDATE', 'DELETE']),
    matchConditions: [
      {
        name: 'shared-by-all-agents',
        expression: `request.userInfo.username in ${celList(SHARED_IDENTITIES)}`,
      },
    ],
    variables: [
      credentialVariable,
      { name: 'home', expression: celNamespaceOfName('oldObject.metadata.name') },
      { name: 'isVouched', expression: isVouched },
      { name: 'labels', expression: mapOf('object', 'labels') },
      { name: 'oldLabels', expression: mapOf('oldObject', 'labels') },
      { name: 'annotations', expression: mapOf('object', 'annotations') },
      { name: 'oldAnnotations', expression: mapOf('oldObject', 'annotations') },
      {
        name: 'addresses',
        expression:
          'has(oldObject.status) && has(oldObject.status.addresses) ? oldObject.status.addresses : []',
      },
      { name: 'conditions', expression: conditionsOf('object') },
      { name: 'oldConditions', expression: conditionsOf('oldObject') },
      { name: 'status', expression: wholeOf('object', 'status') },
      { name: 'oldStatus', expression: wholeOf('oldObject', 'status') },
    ],
    validations: [
      forbid('the identities that all agents share neither make nor delete a Node', isUpdate),
      forbid('kube-proxy writes no Node', "request.userInfo.username != 'system:kube-proxy'"),
      onUpdate(
        'k3s-daas/not-vouched: an agent writes flannel’s annotations of its own Node only, with a certificate that it has shown to the gateway',
        isOwnNode,
      ),
      onUpdate(
        'the identities that all agents share change no label of a Node',
        'variables.labels == variables.oldLabels',
      ),
      ...annotationRules(),
      onUpdate(
        'the identities that all agents share change nothing in the spec of a Node',
        `(${wholeOf('object', 'spec')}) == (${wholeOf('oldObject', 'spec')})`,
      ),
      ...statusRules(),
      ...ownershipRules('the identities that all agents share'),
    ],
  });
}

const annotationRules = () => [
  onUpdate(
    'the identities that all agents share write no annotations of a Node but those of flannel',
    `variables.annotations.all(k, k in ${celList(FLANNEL_KEYS)} || ${isUnchanged('k')}) && variables.oldAnnotations.all(k, k in variables.annotations)`,
  ),
  onUpdate(
    'the identities that all agents share write values to the annotations of flannel that flannel does not write',
    `${celList(FLANNEL_KEYS)}.all(k, !(k in variables.annotations) || ${isUnchanged('k')} || variables.annotations[k].size() <= ${FLANNEL_VALUE_LIMIT}) && (!('${managedKey}' in variables.annotations) || variables.annotations['${managedKey}'] == 'true' || ${isUnchanged(`'${managedKey}'`)})`,
  ),
  onUpdate(
    'flannel’s public address of a Node must be one that the Node itself names',
    `${celList(publicAddressKeys)}.all(k, ${isForeignAddress})`,
    `'flannel announces an address for the node ' + object.metadata.name + ' that is none of its own: ' + ${celList(publicAddressKeys)}.filter(k, !(${isForeignAddress})).map(k, k + '=' + variables.annotations[k]).join(', ') + '. Start its agent with --node-ip, or annotate the Node with ${flannel('public-ip-overwrite')}'`,
  ),
];

/** The status is walked by its keys, so that a member which Kubernetes adds later is kept too. */
const statusRules = () => [
  onUpdate(
    'the identities that all agents share change nothing in the status of a Node but that its network is up',
    "variables.status.all(k, k == 'conditions' || (k in variables.oldStatus && variables.oldStatus[k] == variables.status[k])) && variables.oldStatus.all(k, k == 'conditions' || k in variables.status)",
  ),
  onUpdate(
    'the identities that all agents share write no condition of a Node but NetworkUnavailable=False',
    "variables.conditions.filter(c, c.type != 'NetworkUnavailable') == variables.oldConditions.filter(c, c.type != 'NetworkUnavailable') && variables.conditions.filter(c, c.type == 'NetworkUnavailable').all(c, c.status == 'False' || variables.oldConditions.exists(o, o == c)) && (!variables.oldConditions.exists(c, c.type == 'NetworkUnavailable') || variables.conditions.exists(c, c.type == 'NetworkUnavailable'))",
  ),
];

const listOf = (object: string, member: 'finalizers' | 'ownerReferences') =>
  `(${object} != null && has(${object}.metadata.${member}) ? dyn(${object}.metadata.${member}) : dyn([]))`;

/**
 * Finalizers and owners stay as they are, and a new Node has none: a finalizer keeps a deleted Node in the cluster, an
 * owner lets the garbage collector delete it.
 */
export const ownershipRules = (who: string) => [
  forbid(
    `${who} set and remove no finalizer of a Node`,
    `request.operation == 'DELETE' || ${listOf('object', 'finalizers')} == ${listOf('oldObject', 'finalizers')}`,
  ),
  forbid(
    `${who} set and remove no owner of a Node`,
    `request.operation == 'DELETE' || ${listOf('object', 'ownerReferences')} == ${listOf('oldObject', 'ownerReferences')}`,
  ),
];
