import { isDeepStrictEqual } from 'node:util';
import {
  ADDRESS_HOLDER,
  ADDRESS_KEYS,
  ADDRESS_SOURCES,
  ADDRESSES,
  CERTIFICATES,
  FLANNEL_KEYS,
  FLANNEL_VALUE_LIMIT,
  LISTINGS,
  MOST_NEW_ADDRESSES,
  NAMES_GROUP,
  NODE_MARK,
  NODE_NAMES,
  PLAIN_IPV4,
  PLAIN_IPV6,
  SHARED_IDENTITIES,
} from '#cluster';
import { EXPECTED, ORDINARY } from '#domain';
import type { AdmissionRequest } from './admission.ts';
import { isAllowed } from './authorization.ts';
import { holds } from './name-authority.ts';
import { at, isRecord, type KubeObject } from './objects.ts';
import type { Store } from './store.ts';

/** The policies about the writes of workers to Nodes as fixed rules, in the order and with the sentences of the real ones. */
const isSame = (request: AdmissionRequest, path: string, empty?: unknown): boolean =>
  isDeepStrictEqual(at(request.object, path) ?? empty, at(request.oldObject, path) ?? empty);

const isNode = ({ resource }: AdmissionRequest) => resource === 'nodes' || resource === 'nodes/status';

function ownership(request: AdmissionRequest, who: string): string | undefined {
  if (!isSame(request, 'metadata.finalizers', [])) return `${who} set and remove no finalizer of a Node`;
  if (!isSame(request, 'metadata.ownerReferences', [])) return `${who} set and remove no owner of a Node`;
  return undefined;
}

/** `k3s-daas-worker-nodes`. */
export function judgeWorkerNode(store: Store, request: AdmissionRequest): string | undefined {
  const { identity, operation, object, oldObject } = request;
  const isKubelet = identity.username.startsWith('system:node:') || identity.groups.includes('system:nodes');
  if (!isNode(request) || operation === 'DELETE' || !isKubelet) return undefined;
  const why = ownership(request, 'kubelets');
  if (why) return why;
  if (!isSame(request, 'spec.podCIDR', '') || !isSame(request, 'spec.podCIDRs', []))
    return 'kubelets choose no range of pod addresses: the cluster gives it to the Node';
  const isStaked = oldObject?.metadata.labels?.[NODE_MARK] !== undefined;
  if (isStaked && at(oldObject, 'spec.unschedulable') === true && at(object, 'spec.unschedulable') !== true)
    return 'the kubelet of a staked node does not end its cordon';
  return judgeNewAddresses(store, request);
}

function judgeNewAddresses(store: Store, { identity, object, oldObject }: AdmissionRequest) {
  const name = object?.metadata.name ?? '';
  const before = reportedBy(oldObject);
  const added = [...new Set(reportedBy(object))].filter((address) => !before.includes(address));
  const isOperators = [ORDINARY, EXPECTED].some((listing) =>
    holds(store, identity, name, [LISTINGS, listing, 'hold']),
  );
  if (added.length === 0 || isOperators) return undefined;
  if (added.length > MOST_NEW_ADDRESSES)
    return `the kubelet of a staked node reports at most ${MOST_NEW_ADDRESSES} new addresses at a time`;
  const unplain = added.find((address) => !isPlain(address));
  if (unplain !== undefined)
    return `the staked node ${name} reports ${unplain}: an address is reported as 192.0.2.1 or 2001:db8::1, in lower case, with no zeros before it and no more than one row of zero groups`;
  const held = added.find((address) => isHeld(store, address));
  if (held === undefined) return undefined;
  return `the staked node ${name} reports ${held}, which is the address of a Node of the operator’s: start its agent with another --node-ip or --node-external-ip`;
}

function reportedBy(node: KubeObject | undefined): string[] {
  const named = (['annotations', 'labels'] as const).flatMap((member) =>
    ADDRESS_SOURCES[member].flatMap((key) => node?.metadata[member]?.[key]?.split(',') ?? []),
  );
  return [...named.map((text) => text.trim()), ...statusAddressesOf(node)].filter((text) => text !== '');
}

function isPlain(address: string): boolean {
  if (new RegExp(PLAIN_IPV4).test(address)) return true;
  const isPlain6 = new RegExp(PLAIN_IPV6.of).test(address) && !new RegExp(PLAIN_IPV6.not).test(address);
  const groups = address.split(':').filter((group) => group !== '');
  return isPlain6 && (!address.includes('::') || groups.length <= PLAIN_IPV6.mostGroupsBesideZeros);
}

function isHeld(store: Store, address: string): boolean {
  const { namespace, name } = ADDRESS_HOLDER;
  const holder = { username: `system:serviceaccount:${namespace}:${name}`, groups: [] };
  return isAllowed(store, holder, {
    verb: 'hold',
    group: NAMES_GROUP,
    resource: ADDRESSES,
    subresource: '',
    namespace,
    name: address,
    fieldSelector: null,
  });
}

const all = 'the identities that all agents share';

/** `k3s-daas-shared-identities`. */
export function judgeSharedIdentity(store: Store, request: AdmissionRequest): string | undefined {
  const { identity, operation } = request;
  if (!isNode(request) || !SHARED_IDENTITIES.some((name) => name === identity.username)) return undefined;
  if (operation !== 'UPDATE') return `${all} neither make nor delete a Node`;
  if (identity.username === 'system:kube-proxy') return 'kube-proxy writes no Node';
  if (!isOwnNode(store, request))
    return 'k3s-daas/not-vouched: an agent writes flannel’s annotations of its own Node only, with a certificate that it has shown to the gateway';
  if (!isSame(request, 'metadata.labels', {})) return `${all} change no label of a Node`;
  return (
    judgeAnnotations(request) ??
    (isSame(request, 'spec', {}) ? undefined : `${all} change nothing in the spec of a Node`) ??
    judgeStatus(request) ??
    ownership(request, all)
  );
}

function isOwnNode(store: Store, { identity, oldObject }: AdmissionRequest): boolean {
  const name = oldObject?.metadata.name ?? '';
  const { fingerprint } = identity;
  const isVouched =
    fingerprint !== undefined &&
    holds(store, identity, name, [CERTIFICATES, `${name}.${fingerprint}`, 'annotate']);
  return isVouched || holds(store, identity, name, [NODE_NAMES, name, 'annotate']);
}

function judgeAnnotations({ object, oldObject }: AdmissionRequest): string | undefined {
  const [now, before] = [object?.metadata.annotations ?? {}, oldObject?.metadata.annotations ?? {}];
  const changed = Object.keys(now).filter((key) => now[key] !== before[key]);
  const isKept = Object.keys(before).every((key) => key in now);
  if (!isKept || !changed.every((key) => FLANNEL_KEYS.includes(key)))
    return `${all} write no annotations of a Node but those of flannel`;
  const isWritten = (key: string) =>
    key.endsWith('/kube-subnet-manager')
      ? now[key] === 'true'
      : Array.from(now[key] ?? '').length <= FLANNEL_VALUE_LIMIT;
  if (!changed.every(isWritten))
    return `${all} write values to the annotations of flannel that flannel does not write`;
  const own = addressesOf(oldObject, before);
  const foreign = changed.filter((key) => /\/public-ip(v6)?$/.test(key) && !own.includes(now[key] ?? ''));
  if (foreign.length > 0)
    return `flannel announces an address for the node ${object?.metadata.name} that is none of its own: ${foreign.map((key) => `${key}=${now[key]}`).join(', ')}. Start its agent with --node-ip, or annotate the Node with flannel.alpha.coreos.com/public-ip-overwrite`;
  return undefined;
}

/** The addresses that the Node itself names. */
function addressesOf(node: KubeObject | undefined, annotations: Readonly<Record<string, string>>): string[] {
  return [
    ...statusAddressesOf(node),
    ...ADDRESS_KEYS.flatMap((key) => annotations[key]?.split(',') ?? []).map((text) => text.trim()),
  ];
}

function statusAddressesOf(node: KubeObject | undefined): string[] {
  const listed = (at(node, 'status.addresses') ?? []) as Array<{ type: string; address: string }>;
  return listed
    .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
    .map(({ address }) => address);
}

function judgeStatus({ object, oldObject }: AdmissionRequest): string | undefined {
  const [now, before] = [membersOf(object?.status), membersOf(oldObject?.status)];
  const members = [...new Set([...Object.keys(now), ...Object.keys(before)])];
  if (!members.every((key) => key === 'conditions' || isDeepStrictEqual(now[key], before[key])))
    return `${all} change nothing in the status of a Node but that its network is up`;
  const [conditions, old] = [conditionsOf(now), conditionsOf(before)];
  const isNetwork = ({ type }: Condition) => type === 'NetworkUnavailable';
  const others = (list: Condition[]) => list.filter((condition) => !isNetwork(condition));
  const isAllowed =
    isDeepStrictEqual(others(conditions), others(old)) &&
    conditions
      .filter(isNetwork)
      .every((one) => one.status === 'False' || old.some((other) => isDeepStrictEqual(one, other))) &&
    (!old.some(isNetwork) || conditions.some(isNetwork));
  return isAllowed ? undefined : `${all} write no condition of a Node but NetworkUnavailable=False`;
}

interface Condition {
  readonly type: string;
  readonly status: string;
}
const membersOf = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});
const conditionsOf = (status: Record<string, unknown>) =>
  (Array.isArray(status.conditions) ? status.conditions : []) as Condition[];
