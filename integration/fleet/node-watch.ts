import type { FakeKubernetes, PortMethod } from '#testing';

/** What a hand-over must not do to a Node, its name or its agent. */
const harmful: ReadonlySet<string> = new Set<PortMethod>([
  'cordonAndTaint',
  'cordonNode',
  'createJoinCredential',
  'deleteNode',
  'releaseNodePassword',
  'removeName',
  'removePods',
  'reserveNodePassword',
]);

/** What became of the Nodes since `begin`. */
export interface NodesReport {
  readonly added: number;
  readonly deleted: number;
  readonly notReady: number;
  /** Nodes that get no new pods. */
  readonly cordoned: number;
  readonly tainted: number;
  /** Nodes of then that are not there under the same uid. */
  readonly replaced: number;
  /** Writes of the gateways by kind. */
  readonly writes: Readonly<Record<string, number>>;
  readonly harmfulWrites: number;
}

/** Watches the Nodes as anybody can. */
export function watchNodes(kubernetes: FakeKubernetes) {
  const over = new AbortController();
  const there = new Map<string, string>();
  let before = new Map<string, string>();
  let firstCall = 0;
  const seen = { added: 0, deleted: 0, notReady: 0, cordoned: 0 };
  void kubernetes.watchNodes((change) => {
    if (change.kind === 'listed') return;
    const { node } = change;
    if (change.kind === 'deleted') there.delete(node.name);
    else there.set(node.name, node.uid);
    if (change.kind !== 'modified') seen[change.kind] += 1;
    if (!node.isReady) seen.notReady += 1;
    if (node.isUnschedulable || node.cordonedFor !== undefined) seen.cordoned += 1;
  }, over.signal);
  return {
    names: (): readonly string[] => [...there.keys()],
    begin(): void {
      before = new Map(there);
      firstCall = kubernetes.calls.length;
      Object.assign(seen, { added: 0, deleted: 0, notReady: 0, cordoned: 0 });
    },
    report(): NodesReport {
      const writes: Record<string, number> = {};
      for (const call of kubernetes.calls.slice(firstCall)) {
        const [method = ''] = call.split(' ');
        writes[method] = (writes[method] ?? 0) + 1;
      }
      const replaced = [...before].filter(([name, uid]) => kubernetes.uidOf(name) !== uid).length;
      const harmfulWrites = Object.entries(writes).reduce(
        (sum, [method, count]) => sum + (harmful.has(method) ? count : 0),
        0,
      );
      return { ...seen, tainted: kubernetes.taints.size, replaced, writes, harmfulWrites };
    },
    stop: () => over.abort(),
  };
}

/** Whether a Node, its name or its agent has felt anything of the hand-over. */
export const haveFlapped = ({
  added,
  deleted,
  notReady,
  cordoned,
  tainted,
  replaced,
  harmfulWrites,
}: NodesReport): boolean =>
  [added, deleted, notReady, cordoned, tainted, replaced, harmfulWrites].some((count) => count > 0);
