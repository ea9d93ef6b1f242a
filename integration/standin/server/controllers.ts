import { at, isRecord, type KubeObject, resourceNamed, textAt } from './objects.ts';
import { named, type Store, timestamp } from './store.ts';

/**
 * The controllers' patience. A real cluster takes 40 s to miss a lease (it looks every 5 s), 20 to 60 s to collect the
 * pods of a Node that is gone, and k3s sweeps a password Secret without a Node after 10 min: these are the defaults.
 */
export interface ControllerPace {
  /** How often the controllers look. */
  readonly tickMs: number;
  /** A Node whose lease and status are older than this becomes `Unknown`. */
  readonly nodeGraceMs: number;
  /** Pods of a Node that has been gone for this long are deleted. */
  readonly orphanPodMs: number;
  /** A node-password Secret without a Node is swept when it is older than this. */
  readonly passwordSweepMs: number;
}

export const realisticPace: ControllerPace = {
  tickMs: 1_000,
  nodeGraceMs: 50_000,
  orphanPodMs: 40_000,
  passwordSweepMs: 600_000,
};

/** One round of every controller. Pure but for the store: the caller says what time it is. */
export function runControllers(
  store: Store,
  nowMs: number,
  pace: ControllerPace,
  memory: ControllerMemory,
): void {
  cleanTokens(store, nowMs);
  tendNodes(store, nowMs, pace.nodeGraceMs);
  evictTaintedPods(store, nowMs);
  collectOrphanPods(store, nowMs, pace.orphanPodMs, memory);
  collectOwned(store);
  sweepNodePasswords(store, nowMs, pace.passwordSweepMs);
}

const held = 'wrangler.cattle.io/node';

/** k3s holds every Node by a finalizer, and lets go of a deleted one some 20 ms later. */
export function holdNode(store: Store, node: KubeObject): void {
  const { finalizers = [], deletionTimestamp } = node.metadata;
  if (deletionTimestamp !== undefined || finalizers.includes(held)) return;
  store.replace(named.node, { ...node, metadata: { ...node.metadata, finalizers: [...finalizers, held] } });
}

export function releaseNode(store: Store, node: KubeObject): void {
  const { finalizers = [], deletionTimestamp, name = '' } = node.metadata;
  if (deletionTimestamp === undefined || !finalizers.includes(held)) return;
  const others = finalizers.filter((one) => one !== held);
  if (others.length === 0) store.remove(named.node, '', name);
  else store.replace(named.node, { ...node, metadata: { ...node.metadata, finalizers: others } });
}

/** Since when a Node that pods name has been missing. */
export type ControllerMemory = Map<string, number>;

const systemNamespace = 'kube-system';
const passwordSuffix = '.node-password.k3s';

/** `tokencleaner`: bootstrap tokens whose time is over are deleted. */
function cleanTokens(store: Store, nowMs: number): void {
  for (const secret of store.list(named.secret, systemNamespace)) {
    if (secret.type !== 'bootstrap.kubernetes.io/token') continue;
    const expiration = at(secret, 'data.expiration');
    if (typeof expiration !== 'string') continue;
    const atMs = Date.parse(Buffer.from(expiration, 'base64').toString());
    if (Number.isNaN(atMs) || atMs <= nowMs)
      store.remove(named.secret, systemNamespace, secret.metadata.name ?? '');
  }
}

/** Node life cycle: a Node that neither renews its lease nor reports becomes Unknown; taints follow what it is. */
function tendNodes(store: Store, nowMs: number, graceMs: number): void {
  for (const node of store.list(named.node)) {
    const name = node.metadata.name ?? '';
    const conditions = (at(node, 'status.conditions') ?? []) as Condition[];
    const ready = conditions.find(({ type }) => type === 'Ready');
    const heardMs = lastHeardMs(store, node, ready);
    const isSilent = ready !== undefined && nowMs - heardMs > graceMs;
    const status = isSilent ? 'Unknown' : ready?.status;
    // A Node that has not reported yet is taken for one without trouble.
    const key = !ready || status === 'True' ? undefined : status === 'Unknown' ? unreachable : notReady;
    const spec = isRecord(node.spec) ? node.spec : {};
    const taints = (Array.isArray(spec.taints) ? spec.taints : []) as Taint[];
    const wanted: Taint[] = taints.filter(
      (taint) => ![unreachable, notReady, unschedulable].includes(taint.key),
    );
    if (key) wanted.push({ key, effect: 'NoSchedule' });
    if (key && ready) wanted.push({ key, effect: 'NoExecute' });
    if (spec.unschedulable === true) wanted.push({ key: unschedulable, effect: 'NoSchedule' });
    const isTaintChanged = wanted.map(taintText).sort().join() !== taints.map(taintText).sort().join();
    const isConditionChanged = isSilent && ready?.status !== 'Unknown';
    if (!isTaintChanged && !isConditionChanged) continue;
    if (isConditionChanged && ready) {
      ready.status = 'Unknown';
      ready.reason = 'NodeStatusUnknown';
      ready.message = 'Kubelet stopped posting node status.';
      ready.lastTransitionTime = timestamp(nowMs);
    }
    node.spec = { ...spec, ...(wanted.length > 0 ? { taints: wanted } : {}) };
    if (wanted.length === 0) delete (node.spec as Record<string, unknown>).taints;
    if (store.get(named.node, '', name)) store.replace(named.node, node);
  }
}

interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  lastHeartbeatTime?: string;
}
interface Taint {
  key: string;
  value?: string;
  effect: string;
}
const unreachable = 'node.kubernetes.io/unreachable';
const notReady = 'node.kubernetes.io/not-ready';
const unschedulable = 'node.kubernetes.io/unschedulable';
const taintText = ({ key, value = '', effect }: Taint) => `${key}=${value}:${effect}`;

function lastHeardMs(store: Store, node: KubeObject, ready: Condition | undefined): number {
  const lease = store.get(named.lease, 'kube-node-lease', node.metadata.name ?? '');
  const times = [
    node.metadata.creationTimestamp,
    ready?.lastHeartbeatTime,
    ready?.lastTransitionTime,
    at(lease, 'spec.renewTime'),
  ];
  return Math.max(...times.map((time) => (typeof time === 'string' ? Date.parse(time) || 0 : 0)));
}

/** Taint eviction: pods that do not tolerate a NoExecute taint of their Node are deleted, budgets or not. */
function evictTaintedPods(store: Store, nowMs: number): void {
  for (const pod of store.list(named.pod)) {
    const node = store.get(named.node, '', textAt(pod, 'spec.nodeName'));
    const taints = ((at(node, 'spec.taints') ?? []) as Taint[]).filter(
      // A pod has five minutes on a Node that fell silent; nobody waits for that in a stand-in's world.
      ({ key, effect }) => effect === 'NoExecute' && key !== unreachable && key !== notReady,
    );
    const tolerations = (at(pod, 'spec.tolerations') ?? []) as Array<{
      key?: string;
      operator?: string;
      value?: string;
      effect?: string;
    }>;
    const isTolerated = (taint: Taint) =>
      tolerations.some(
        ({ key, operator, value, effect }) =>
          (effect === undefined || effect === taint.effect) &&
          (operator === 'Exists'
            ? key === undefined || key === taint.key
            : key === taint.key && (value ?? '') === (taint.value ?? '')),
      );
    if (taints.every(isTolerated) || pod.metadata.deletionTimestamp !== undefined) continue;
    pod.metadata.deletionTimestamp = timestamp(nowMs + 30_000);
    pod.metadata.deletionGracePeriodSeconds = 30;
    store.markDeleted(named.pod, pod);
  }
}

/** Pod garbage collection: the API goes on listing the pods of a deleted Node for a while. */
function collectOrphanPods(store: Store, nowMs: number, patienceMs: number, memory: ControllerMemory): void {
  const nodes = new Set(store.list(named.node).map(({ metadata }) => metadata.name));
  const missing = new Set<string>();
  for (const pod of store.list(named.pod)) {
    const node = at(pod, 'spec.nodeName');
    if (typeof node !== 'string' || node === '' || nodes.has(node)) continue;
    missing.add(node);
    const sinceMs = memory.get(node) ?? nowMs;
    memory.set(node, sinceMs);
    if (nowMs - sinceMs >= patienceMs)
      store.remove(named.pod, pod.metadata.namespace ?? '', pod.metadata.name ?? '');
  }
  for (const node of memory.keys()) if (!missing.has(node)) memory.delete(node);
}

/** Garbage collection: an object goes with its owner, if that is a Node. */
function collectOwned(store: Store): void {
  for (const resource of [named.secret, named.lease, resourceNamed('configmaps')])
    for (const object of store.list(resource)) {
      const owners = (object.metadata.ownerReferences ?? []).filter(({ kind }) => kind === 'Node');
      const isAlive = ({ name, uid }: { name: string; uid: string }) =>
        store.get(named.node, '', name)?.metadata.uid === uid;
      if (owners.length > 0 && !owners.some(isAlive))
        store.remove(resource, object.metadata.namespace ?? '', object.metadata.name ?? '');
    }
}

/** k3s: a password Secret is owned by its Node once there is one, and swept when it has had none for long. */
function sweepNodePasswords(store: Store, nowMs: number, sweepMs: number): void {
  for (const secret of store.list(named.secret, systemNamespace)) {
    const name = secret.metadata.name ?? '';
    if (!name.endsWith(passwordSuffix)) continue;
    const nodeName = name.slice(0, -passwordSuffix.length);
    const node = store.get(named.node, '', nodeName);
    const ageMs = nowMs - Date.parse(secret.metadata.creationTimestamp ?? '');
    if (!node && ageMs > sweepMs) store.remove(named.secret, systemNamespace, name);
    if (!node || secret.metadata.ownerReferences?.some(({ uid }) => uid === node.metadata.uid)) continue;
    secret.metadata.ownerReferences = [
      { apiVersion: 'v1', kind: 'Node', name: nodeName, uid: node.metadata.uid ?? '' },
    ];
    store.replace(named.secret, secret);
  }
}
