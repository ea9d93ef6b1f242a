import { isDeepStrictEqual } from 'node:util';
import {
  ADMITTED_CONFIG_MAP,
  gatewaySecretsPolicy,
  isSameSpec,
  NODE_MARK,
  nodeMarksPolicy,
  nodeNamesPolicy,
  nodePolicies,
  type PolicyPair,
  STAKED_TAINT,
  SYSTEM_NAMESPACE,
  sharedIdentitiesPolicy,
  workerNodesPolicy,
} from '#cluster';
import { EXPECTED, ORDINARY, RESERVED, UNTAINTED } from '#domain';
import { type Identity, nodeNameOf } from './identity.ts';
import { judgeSharedIdentity, judgeWorkerNode } from './node-admission.ts';
import { at, type KubeObject, textAt } from './objects.ts';
import { forbidden, invalid, Refusal } from './status.ts';
import { named, type Store } from './store.ts';

export interface AdmissionRequest {
  readonly identity: Identity;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  /** `nodes`, or `nodes/status` for a subresource. */
  readonly resource: string;
  readonly name: string;
  readonly object: KubeObject | undefined;
  readonly oldObject: KubeObject | undefined;
}

/** NodeRestriction, then the policies in force. Throws the refusal. */
export function admit(store: Store, request: AdmissionRequest): void {
  restrictNode(request);
  refuseOtherPolicies(request);
  for (const { pair, judge } of knownPolicies) {
    const why = judge(store, request);
    if (why === undefined || !isInForce(store, pair(request))) continue;
    throw why instanceof Refusal ? why : policyRefusal(request, pair(request), why);
  }
}

const subjectOf = ({ resource, name }: AdmissionRequest) => `${resource.split('/')[0]} "${name}"`;

/** What the API server's NodeRestriction plugin keeps a kubelet from. */
function restrictNode(request: AdmissionRequest): void {
  const node = nodeNameOf(request.identity);
  if (node === undefined) return;
  const refuse = (why: string): Refusal => forbidden(`${subjectOf(request)} is forbidden: ${why}`);
  const { operation, resource, object, oldObject } = request;
  if (resource.startsWith('nodes')) {
    if (request.name !== node) throw refuse(`node "${node}" is not allowed to modify node "${request.name}"`);
    const labels = changedLabels(object, oldObject).filter(isForbiddenLabel).sort();
    if (operation === 'CREATE' && labels.length > 0)
      throw refuse(`node "${node}" is not allowed to set the following labels: ${labels.join(', ')}`);
    if (operation !== 'UPDATE') return;
    if (!isDeepStrictEqual(at(object, 'spec.taints') ?? [], at(oldObject, 'spec.taints') ?? []))
      throw refuse(`node "${node}" is not allowed to modify taints`);
    if (labels.length > 0) throw refuse(`is not allowed to modify labels: ${labels.join(', ')}`);
  } else if (resource === 'pods' && operation === 'CREATE') {
    if (!object?.metadata.annotations?.['kubernetes.io/config.mirror'])
      throw refuse(
        `pod does not have "kubernetes.io/config.mirror" annotation, node "${node}" can only create mirror pods`,
      );
    if (at(object, 'spec.nodeName') !== node)
      throw refuse(`node "${node}" can only create pods with spec.nodeName set to itself`);
  } else if (resource.startsWith('pods')) {
    if (at(oldObject, 'spec.nodeName') !== node) {
      const what = resource === 'pods' ? 'delete pods' : 'update pod status for pods';
      throw refuse(`node "${node}" can only ${what} with spec.nodeName set to itself`);
    }
  } else if (resource === 'leases' && operation === 'CREATE' && request.name !== node) {
    throw refuse(`node "${node}" can only access lease with the same name as the requesting node`);
  }
}

const changedLabels = (object: KubeObject | undefined, oldObject: KubeObject | undefined): string[] => {
  const [now, before] = [object?.metadata.labels ?? {}, oldObject?.metadata.labels ?? {}];
  return [...new Set([...Object.keys(now), ...Object.keys(before)])].filter(
    (key) => now[key] !== before[key],
  );
};

/** Labels of kubernetes.io and k8s.io that a kubelet may set on itself all the same. */
const kubeletLabels = [
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/instance-type',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'node.kubernetes.io/instance-type',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
];

function isForbiddenLabel(label: string): boolean {
  const domain = label.includes('/') ? (label.split('/')[0] ?? '') : '';
  const isWithin = (parent: string) => domain === parent || domain.endsWith(`.${parent}`);
  if (isWithin('node-restriction.kubernetes.io')) return true;
  if (!isWithin('kubernetes.io') && !isWithin('k8s.io')) return false;
  return (
    !kubeletLabels.includes(label) && !isWithin('kubelet.kubernetes.io') && !isWithin('node.kubernetes.io')
  );
}

interface KnownPolicy {
  readonly pair: (request: AdmissionRequest) => PolicyPair;
  /** Why the request is refused if the policy is in force, or undefined. */
  readonly judge: (store: Store, request: AdmissionRequest) => string | Refusal | undefined;
}

/** The project's own policies as fixed rules: this stand-in has no CEL. The real API server proves the expressions. */
const knownPolicies: readonly KnownPolicy[] = [
  { pair: () => nodeNamesPolicy(), judge: judgeNodeName },
  { pair: () => sharedIdentitiesPolicy(), judge: (_store, request) => judgeSharedIdentity(request) },
  { pair: () => workerNodesPolicy(), judge: (_store, request) => judgeWorkerNode(request) },
  { pair: () => nodeMarksPolicy(), judge: judgeNodeMarks },
  { pair: ({ identity }) => gatewaySecretsPolicy(identity.username), judge: judgeGatewaySecret },
];

function judgeNodeName(
  store: Store,
  { identity, operation, resource, object }: AdmissionRequest,
): string | Refusal | undefined {
  if (operation !== 'CREATE' || resource !== 'nodes' || !object) return undefined;
  // The API server looks the parameters up before the conditions: without them an administrator is refused too.
  const names = store.get(named.configMap, SYSTEM_NAMESPACE, ADMITTED_CONFIG_MAP);
  if (!names) return noParameters(object);
  if (identity.groups.includes('system:masters')) return undefined;
  const name = object.metadata.name ?? '';
  const data = (names.data ?? {}) as Record<string, string>;
  const tier = Object.hasOwn(data, name) ? data[name] : undefined;
  if (tier === RESERVED)
    return `the node name ${name} is reserved by the operator: a node of that name may register after k3s-daas gateway setup --ordinary ${name}`;
  if (tier === undefined)
    return `the node name ${name} is not admitted: no stake that the gateway has verified stands behind it`;
  const taints = (at(object, 'spec.taints') ?? []) as Array<{ key: string; value?: string; effect: string }>;
  const isTainted = taints.some(
    ({ key, value, effect }) => key === STAKED_TAINT && value === tier && effect === 'NoSchedule',
  );
  if (![ORDINARY, EXPECTED, UNTAINTED].includes(tier) && !isTainted)
    return `the staked node ${name} must register with the taint ${STAKED_TAINT}=${tier}:NoSchedule`;
  if (object.metadata.labels && NODE_MARK in object.metadata.labels)
    return `the label ${NODE_MARK} is set by the gateway alone`;
  return undefined;
}

const noParameters = (object: KubeObject): Refusal =>
  invalid(
    'Node',
    object.metadata.name ?? '',
    "policy 'k3s-daas-node-names' with binding 'k3s-daas-node-names' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
  );

function judgeNodeMarks(
  _store: Store,
  { identity, operation, resource, object, oldObject }: AdmissionRequest,
): string | undefined {
  const isWorkers =
    identity.groups.includes('system:nodes') ||
    ['system:kube-proxy', 'system:k3s-controller'].includes(identity.username);
  if (operation !== 'UPDATE' || !resource.startsWith('nodes') || !isWorkers) return undefined;
  if (object?.metadata.labels?.[NODE_MARK] !== oldObject?.metadata.labels?.[NODE_MARK])
    return `the label ${NODE_MARK} is set by the gateway alone`;
  const ours = (node: KubeObject | undefined) =>
    ((at(node, 'spec.taints') ?? []) as Array<{ key: string }>).filter(({ key }) =>
      key.startsWith('k3s-daas.io/'),
    );
  if (!isDeepStrictEqual(ours(object), ours(oldObject)))
    return 'the taints k3s-daas.io/* are set by the gateway alone';
  return undefined;
}

function judgeGatewaySecret(
  _store: Store,
  { operation, resource, name, object, oldObject }: AdmissionRequest,
): string | undefined {
  if (resource !== 'secrets') return undefined;
  const type = textAt(operation === 'DELETE' ? oldObject : object, 'type');
  const isOurs = type === 'bootstrap.kubernetes.io/token' || type === 'k3s.cattle.io/node-password';
  if (isOurs || (operation === 'DELETE' && name.endsWith('.node-password.k3s'))) return undefined;
  return 'the gateway writes join credentials and node passwords only';
}

function isInForce(store: Store, { policy, binding }: PolicyPair): boolean {
  const name = policy.metadata?.name ?? '';
  const [stored, bound] = [store.get(named.policy, '', name), store.get(named.binding, '', name)];
  return (
    Boolean(stored && bound) && isSameSpec(stored?.spec, policy.spec) && isSameSpec(bound?.spec, binding.spec)
  );
}

/** A policy that this stand-in cannot carry out must not look as if it held. */
function refuseOtherPolicies({ operation, resource, name, object }: AdmissionRequest): void {
  if (operation === 'DELETE' || (resource !== named.policy.plural && resource !== named.binding.plural))
    return;
  const member = resource === named.policy.plural ? 'policy' : 'binding';
  const user = /request\.userInfo\.username == '([^'\\]*)'/.exec(JSON.stringify(object?.spec ?? {}))?.[1];
  const known = [...nodePolicies(), gatewaySecretsPolicy(user ?? '')];
  const isKnown = known.some(
    (pair) => pair[member].metadata?.name === name && isSameSpec(pair[member].spec, object?.spec),
  );
  if (!isKnown)
    throw forbidden(
      `${resource} "${name}" is forbidden: this API server is a stand-in without CEL: it carries out the project's own policies only, exactly as 'k3s-daas gateway setup' writes them`,
    );
}

function policyRefusal(request: AdmissionRequest, { policy, binding }: PolicyPair, why: string): Refusal {
  return forbidden(
    `${subjectOf(request)} is forbidden: ValidatingAdmissionPolicy '${policy.metadata?.name}' with binding '${binding.metadata?.name}' denied request: ${why}`,
  );
}
