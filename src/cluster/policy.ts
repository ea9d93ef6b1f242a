import { EXPECTED, ORDINARY, RESERVED, UNTAINTED } from '#domain';
import { CERTIFICATES, LISTINGS, NODE_NAMES } from './name-role.ts';
import { celNamespaceOfName } from './name-shards.ts';
import { allowed, credentialVariable } from './policy-authority.ts';
import {
  byKubelet,
  celList,
  celText,
  everywhere,
  forbid,
  type PolicyPair,
  pair,
  strict,
} from './policy-pair.ts';
import {
  BOOTSTRAP_TOKEN_TYPE,
  NODE_MARK,
  NODE_PASSWORD_TYPE,
  STAKED_TAINT,
  STATE_NAMESPACE,
  STATE_TYPE,
  SYSTEM_NAMESPACE,
} from './words.ts';

/** Head of the refusals for want of a vouch: stable, so that logs can be searched for it. */
const NOT_VOUCHED = 'k3s-daas/not-vouched';

/** The command by which an administrator lets an ordinary node register. */
const OPEN_COMMAND = 'k3s-daas gateway setup --ordinary';

const holds = (listing: string) =>
  allowed({ resource: LISTINGS, namespace: 'variables.home', name: listing, verb: 'hold' });
const ofNode = (verb: string) =>
  allowed({ resource: NODE_NAMES, namespace: 'variables.home', name: 'object.metadata.name', verb });

/**
 * Node CREATE: only listed names, no reserved one, a staked one only with a certificate that its stake vouches for and
 * with its taint, none with a mark of its own. It applies to every user but `system:masters`: the listing is bound to the
 * node's own kubelet, so that the identities that all agents share, or the token of a ServiceAccount taken from a pod, make
 * no Node. It needs no webhook and no parameter, and holds while the gateway is down.
 */
export function nodeNamesPolicy(): PolicyPair {
  const vouched = allowed({
    resource: CERTIFICATES,
    namespace: 'variables.home',
    name: "object.metadata.name + '.' + variables.credential",
    verb: 'register',
  });
  return pair('k3s-daas-node-names', {
    ...strict(['nodes'], ['CREATE']),
    matchConditions: [
      { name: 'not-an-administrator', expression: "!('system:masters' in request.userInfo.groups)" },
    ],
    variables: [
      credentialVariable,
      { name: 'home', expression: celNamespaceOfName('object.metadata.name') },
      // One check each: two of them cost most of what the API server lets one expression cost.
      { name: 'isReserved', expression: holds(celText(RESERVED)) },
      { name: 'isListed', expression: ofNode('hold') },
      { name: 'isVouched', expression: `size(variables.credential) == 64 && ${vouched}` },
      { name: 'isOrdinary', expression: holds(celText(ORDINARY)) },
      { name: 'isExpected', expression: holds(celText(EXPECTED)) },
      { name: 'isUntainted', expression: holds(celText(UNTAINTED)) },
      {
        name: 'tiers',
        expression: `has(object.spec) && has(object.spec.taints) ? object.spec.taints.filter(t, t.key == '${STAKED_TAINT}' && t.effect == 'NoSchedule' && has(t.value)).map(t, t.value) : []`,
      },
    ],
    validations: [
      forbid(
        'the node name is reserved by the operator',
        '!variables.isReserved',
        `'the node name ' + object.metadata.name + ' is reserved by the operator: a node of that name may register after ${OPEN_COMMAND} ' + object.metadata.name`,
      ),
      forbid(
        'the node name is not admitted',
        'variables.isListed',
        "'the node name ' + object.metadata.name + ' is not admitted: no stake that the gateway has verified stands behind it'",
      ),
      forbid(
        'the certificate is not vouched for',
        `variables.isReserved || !variables.isListed || variables.isVouched || ${ofNode('register')}`,
        `'${NOT_VOUCHED}: certificate ' + variables.credential + ' is not one that the node ' + object.metadata.name + ' has shown to the gateway'`,
      ),
      forbid(
        `a staked node must register with the taint ${STAKED_TAINT}`,
        // The API server takes no two taints of one key and effect.
        `variables.isReserved || !variables.isListed || variables.isOrdinary || variables.isExpected || variables.isUntainted || (size(variables.tiers) == 1 && ${holds('variables.tiers[0]')})`,
        `'the staked node ' + object.metadata.name + ' must register with the taint ${STAKED_TAINT}=TIER:NoSchedule, where TIER is the tier of its stake'`,
      ),
      forbid(
        `the label ${NODE_MARK} is set by the gateway alone`,
        `!has(object.metadata.labels) || !('${NODE_MARK}' in object.metadata.labels)`,
      ),
    ],
  });
}

/**
 * Every other write of a kubelet. A name that is not listed writes nothing: what is left of an evicted worker is its
 * certificate. A contested name writes with a certificate that is vouched for. Reads are never seen by a policy.
 */
export function nodeWritesPolicy(): PolicyPair {
  const mayWrite = allowed({
    resource: CERTIFICATES,
    namespace: 'variables.home',
    name: "variables.node + '.' + variables.credential",
    verb: "size(variables.credential) == 64 ? 'write' : 'write-without-certificate'",
    isExpression: true,
  });
  return pair('k3s-daas-node-writes', {
    ...everywhere(['CREATE', 'UPDATE', 'DELETE']),
    matchConditions: [
      { name: 'by-a-kubelet', expression: byKubelet },
      {
        name: 'not-the-creation-of-a-node',
        expression:
          "request.operation != 'CREATE' || request.resource.group != '' || request.resource.resource != 'nodes' || has(request.subResource)",
      },
    ],
    variables: [
      credentialVariable,
      { name: 'node', expression: "request.userInfo.username.replace('system:node:', '', 1)" },
      { name: 'home', expression: celNamespaceOfName('variables.node') },
    ],
    validations: [
      forbid(
        'no stake vouches for this certificate',
        mayWrite,
        `'${NOT_VOUCHED}: certificate ' + variables.credential + ' is not one that counts for the node ' + variables.node`,
      ),
    ],
  });
}

const workerIdentities =
  "'system:nodes' in request.userInfo.groups || request.userInfo.username in ['system:kube-proxy', 'system:k3s-controller']";

/**
 * Node UPDATE by an identity that workers hold: our mark and our taints stay as they are. NodeRestriction guards them
 * from `system:node:<name>` only; `system:k3s-controller`, which every worker has, may write the labels of any Node
 * through `nodes/status`.
 */
export function nodeMarksPolicy(): PolicyPair {
  const mark = (object: string) =>
    `has(${object}.metadata.labels) && '${NODE_MARK}' in ${object}.metadata.labels ? ${object}.metadata.labels['${NODE_MARK}'] : ''`;
  const taints = (object: string) =>
    `has(${object}.spec) && has(${object}.spec.taints) ? ${object}.spec.taints.filter(t, t.key.startsWith('k3s-daas.io/')).map(t, t.key + '=' + (has(t.value) ? t.value : '') + ':' + t.effect) : []`;
  return pair('k3s-daas-node-marks', {
    ...strict(['nodes', 'nodes/status'], ['UPDATE']),
    matchConditions: [{ name: 'held-by-a-worker', expression: workerIdentities }],
    variables: [
      { name: 'mark', expression: mark('object') },
      { name: 'oldMark', expression: mark('oldObject') },
      { name: 'taints', expression: taints('object') },
      { name: 'oldTaints', expression: taints('oldObject') },
    ],
    validations: [
      {
        expression: 'variables.mark == variables.oldMark',
        message: `the label ${NODE_MARK} is set by the gateway alone`,
        reason: 'Forbidden',
      },
      {
        expression: 'variables.taints == variables.oldTaints',
        message: 'the taints k3s-daas.io/* are set by the gateway alone',
        reason: 'Forbidden',
      },
    ],
  });
}

/**
 * Secrets written by the gateway: join credentials and node passwords in kube-system, its state in the namespace of the state,
 * nothing else. RBAC does not distinguish types, and a right to create any Secret in kube-system is a right to the token of every
 * ServiceAccount there. The state is never deleted.
 */
export function gatewaySecretsPolicy(gatewayUser: string): PolicyPair {
  const types = celList([BOOTSTRAP_TOKEN_TYPE, NODE_PASSWORD_TYPE]);
  // k3s before late 2025 makes password Secrets of type Opaque; the gateway replaces unreserved ones.
  const inSystem = `variables.type in ${types} || (request.operation == 'DELETE' && variables.name.endsWith('.node-password.k3s'))`;
  return pair('k3s-daas-gateway-secrets', {
    ...strict(['secrets'], ['CREATE', 'UPDATE', 'DELETE']),
    matchConditions: [
      { name: 'by-the-gateway', expression: `request.userInfo.username == ${celText(gatewayUser)}` },
    ],
    variables: [
      {
        name: 'type',
        expression:
          "request.operation == 'DELETE' ? (has(oldObject.type) ? oldObject.type : '') : (has(object.type) ? object.type : '')",
      },
      {
        name: 'name',
        expression: "request.operation == 'DELETE' ? oldObject.metadata.name : object.metadata.name",
      },
    ],
    validations: [
      forbid(
        'the gateway writes join credentials and node passwords only',
        `request.namespace == '${STATE_NAMESPACE}' || (request.namespace == '${SYSTEM_NAMESPACE}' && (${inSystem}))`,
      ),
      forbid(
        `the gateway writes Secrets of type ${STATE_TYPE} only in ${STATE_NAMESPACE}, and deletes none`,
        `request.namespace != '${STATE_NAMESPACE}' || (variables.type == '${STATE_TYPE}' && request.operation != 'DELETE')`,
      ),
    ],
  });
}
