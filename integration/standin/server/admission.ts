import { isDeepStrictEqual } from 'node:util';
import {
  CERTIFICATES,
  gatewaySecretsPolicy,
  isSameSpec,
  KEEPER_USER,
  keeperPolicy,
  LISTINGS,
  NODE_MARK,
  NODE_NAMES,
  nodeMarksPolicy,
  nodeNamesPolicy,
  nodePolicies,
  nodeWritesPolicy,
  type PolicyPair,
  STAKED_TAINT,
  STATE_NAMESPACE,
  STATE_TYPE,
  sharedIdentitiesPolicy,
  TENANT_OWNER,
  tenantPolicies,
  workerNodesPolicy,
} from '#cluster';
import { EXPECTED, ORDINARY, RESERVED, UNTAINTED } from '#domain';
import { type Identity, nodeNameOf } from './identity.ts';
import { holds } from './name-authority.ts';
import { judgeSharedIdentity, judgeWorkerNode } from './node-admission.ts';
import { at, type KubeObject, textAt } from './objects.ts';
import { forbidden, Refusal } from './status.ts';
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
  { pair: () => nodeWritesPolicy(), judge: judgeNodeWrite },
  { pair: () => sharedIdentitiesPolicy(), judge: judgeSharedIdentity },
  { pair: () => workerNodesPolicy(), judge: judgeWorkerNode },
  { pair: () => nodeMarksPolicy(), judge: judgeNodeMarks },
  { pair: ({ identity }) => gatewaySecretsPolicy(identity.username), judge: judgeGatewaySecret },
  { pair: () => keeperPolicy(), judge: (_store, request) => judgeKeeper(request) },
];

/** `k3s-daas-node-names`. */
function judgeNodeName(
  store: Store,
  { identity, operation, resource, object }: AdmissionRequest,
): string | undefined {
  if (operation !== 'CREATE' || resource !== 'nodes' || !object) return undefined;
  if (identity.groups.includes('system:masters')) return undefined;
  const name = object.metadata.name ?? '';
  const isListedAs = (listing: string) => holds(store, identity, name, [LISTINGS, listing, 'hold']);
  if (isListedAs(RESERVED))
    return `the node name ${name} is reserved by the operator: a node of that name may register after k3s-daas gateway setup --ordinary ${name}`;
  if (!holds(store, identity, name, [NODE_NAMES, name, 'hold']))
    return `the node name ${name} is not admitted: no stake that the gateway has verified stands behind it`;
  const { fingerprint = '' } = identity;
  const isVouched = holds(store, identity, name, [CERTIFICATES, `${name}.${fingerprint}`, 'register']);
  if (!(fingerprint && isVouched) && !holds(store, identity, name, [NODE_NAMES, name, 'register']))
    return `k3s-daas/not-vouched: certificate ${fingerprint} is not one that the node ${name} has shown to the gateway`;
  const taints = (at(object, 'spec.taints') ?? []) as Array<{ key: string; value?: string; effect: string }>;
  const isTainted = taints.some(
    ({ key, value, effect }) =>
      key === STAKED_TAINT && effect === 'NoSchedule' && value !== undefined && isListedAs(value),
  );
  if (![ORDINARY, EXPECTED, UNTAINTED].some(isListedAs) && !isTainted)
    return `the staked node ${name} must register with the taint ${STAKED_TAINT}=TIER:NoSchedule, where TIER is the tier of its stake`;
  if (object.metadata.labels && NODE_MARK in object.metadata.labels)
    return `the label ${NODE_MARK} is set by the gateway alone`;
  return undefined;
}

/** `k3s-daas-node-writes`. */
function judgeNodeWrite(
  store: Store,
  { identity, operation, resource }: AdmissionRequest,
): string | undefined {
  const isKubelet = identity.username.startsWith('system:node:') || identity.groups.includes('system:nodes');
  if (!isKubelet || (operation === 'CREATE' && resource === 'nodes')) return undefined;
  const node = identity.username.replace('system:node:', '');
  const { fingerprint = '' } = identity;
  const verb = fingerprint ? 'write' : 'write-without-certificate';
  if (holds(store, identity, node, [CERTIFICATES, `${node}.${fingerprint}`, verb])) return undefined;
  return `k3s-daas/not-vouched: certificate ${fingerprint} is not one that counts for the node ${node}`;
}

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
  const judged = operation === 'DELETE' ? oldObject : object;
  const type = textAt(judged, 'type');
  const isOurs = type === 'bootstrap.kubernetes.io/token' || type === 'k3s.cattle.io/node-password';
  const isRemovable = operation === 'DELETE' && name.endsWith('.node-password.k3s');
  if (judged?.metadata.namespace === STATE_NAMESPACE)
    return type === STATE_TYPE && operation !== 'DELETE'
      ? undefined
      : `the gateway writes Secrets of type ${STATE_TYPE} only in ${STATE_NAMESPACE}, and deletes none`;
  if (judged?.metadata.namespace === 'kube-system' && (isOurs || isRemovable)) return undefined;
  return 'the gateway writes join credentials and node passwords only';
}

/** `k3s-daas-tenants`, as far as this stand-in has what it is about: namespaces alone. */
function judgeKeeper({ identity, operation, resource, object }: AdmissionRequest): string | undefined {
  if (identity.username !== KEEPER_USER) return undefined;
  const isTenants = object?.metadata.name?.startsWith('seal-') && object.metadata.labels?.[TENANT_OWNER];
  if (operation === 'CREATE' && resource === 'namespaces' && isTenants) return undefined;
  return `only namespaces with the label ${TENANT_OWNER} are this account’s to write`;
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
  // Of the policies on what tenants do there is nothing to carry out: no scheduler and no tenant is here.
  const known = [...nodePolicies(), gatewaySecretsPolicy(user ?? ''), ...tenantPolicies()];
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
