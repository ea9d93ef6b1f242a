import type { V1ConfigMap } from '@kubernetes/client-node';
import { EXPECTED, ORDINARY, RESERVED, UNTAINTED } from '#domain';
import { celText, managed, type PolicyPair, pair, strict } from './policy-pair.ts';
import {
  ADMITTED_CONFIG_MAP,
  BOOTSTRAP_TOKEN_TYPE,
  NODE_MARK,
  NODE_PASSWORD_TYPE,
  STAKED_TAINT,
  SYSTEM_NAMESPACE,
} from './words.ts';

/** The command by which an administrator lets an ordinary node register. */
const OPEN_COMMAND = 'k3s-daas gateway setup --ordinary';

/**
 * Node CREATE: only names of the ConfigMap, no reserved one, a staked one only with its taint, none with a mark of its
 * own. It applies to every user but `system:masters`, whatever the groups: a kubelet certificate, the identities that
 * every worker shares, the token of a ServiceAccount taken from a pod. It needs no webhook and holds while the gateway
 * is down; a missing ConfigMap refuses all.
 */
export function nodeNamesPolicy(): PolicyPair {
  return pair(
    'k3s-daas-node-names',
    {
      ...strict(['nodes'], ['CREATE']),
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConditions: [
        { name: 'not-an-administrator', expression: "!('system:masters' in request.userInfo.groups)" },
      ],
      variables: [
        {
          name: 'listing',
          expression:
            "has(params.data) && object.metadata.name in params.data ? params.data[object.metadata.name] : ''",
        },
      ],
      validations: [
        {
          expression: `!(variables.listing in ['', '${RESERVED}'])`,
          messageExpression: `variables.listing == '${RESERVED}' ? 'the node name ' + object.metadata.name + ' is reserved by the operator: a node of that name may register after ${OPEN_COMMAND} ' + object.metadata.name : 'the node name ' + object.metadata.name + ' is not admitted: no stake that the gateway has verified stands behind it'`,
          message: 'the node name is not admitted',
          reason: 'Forbidden',
        },
        {
          expression: `variables.listing in ['', '${RESERVED}', '${ORDINARY}', '${EXPECTED}', '${UNTAINTED}'] || (has(object.spec) && has(object.spec.taints) && object.spec.taints.exists(t, t.key == '${STAKED_TAINT}' && has(t.value) && t.value == variables.listing && t.effect == 'NoSchedule'))`,
          messageExpression: `'the staked node ' + object.metadata.name + ' must register with the taint ${STAKED_TAINT}=' + variables.listing + ':NoSchedule'`,
          message: `a staked node must register with the taint ${STAKED_TAINT}`,
          reason: 'Forbidden',
        },
        {
          expression: `!has(object.metadata.labels) || !('${NODE_MARK}' in object.metadata.labels)`,
          message: `the label ${NODE_MARK} is set by the gateway alone`,
          reason: 'Forbidden',
        },
      ],
    },
    { name: ADMITTED_CONFIG_MAP, namespace: SYSTEM_NAMESPACE, parameterNotFoundAction: 'Deny' },
  );
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
 * Secrets written by the gateway: join credentials and node passwords, nothing else. RBAC does not distinguish types, and
 * a right to create any Secret in kube-system is a right to the token of every ServiceAccount there.
 */
export function gatewaySecretsPolicy(gatewayUser: string): PolicyPair {
  const types = `['${BOOTSTRAP_TOKEN_TYPE}', '${NODE_PASSWORD_TYPE}']`;
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
      {
        // k3s before late 2025 makes password Secrets of type Opaque; the gateway replaces unreserved ones.
        expression: `variables.type in ${types} || (request.operation == 'DELETE' && variables.name.endsWith('.node-password.k3s'))`,
        message: 'the gateway writes join credentials and node passwords only',
        reason: 'Forbidden',
      },
    ],
  });
}

/** The ConfigMap with the operator's names, which no stake can take, each with its listing. */
export function admittedNamesMap(listings: ReadonlyMap<string, string>): V1ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: ADMITTED_CONFIG_MAP, namespace: SYSTEM_NAMESPACE, labels: managed },
    data: Object.fromEntries(listings),
  };
}
