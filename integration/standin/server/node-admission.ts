import { isDeepStrictEqual } from 'node:util';
import {
  ADDRESS_KEYS,
  CERTIFICATES,
  FLANNEL_KEYS,
  FLANNEL_VALUE_LIMIT,
  NODE_MARK,
  NODE_NAMES,
  SHARED_IDENTITIES,
} from '#cluster';
import type { AdmissionRequest } from './admission.ts';
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
export function judgeWorkerNode(request: AdmissionRequest): string | undefined {
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
  return undefined;
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
  const listed = (at(node, 'status.addresses') ?? []) as Array<{ type: string; address: string }>;
  return [
    ...listed
      .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
      .map(({ address }) => address),
    ...ADDRESS_KEYS.flatMap((key) => annotations[key]?.split(',') ?? []).map((text) => text.trim()),
  ];
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
