import { errorFields } from '#base';
import type { KubernetesNode, NodeChange } from '#domain';
import type { ReconcilerContext } from './reconciler-context.ts';
import type { Sighting } from './sightings.ts';
import { isAdmitted } from './worker.ts';

const retryMs = 1_000;

/** Follows the Nodes until the signal aborts; calls `onChange` with the name of each Node that changed. */
export async function watchNodes(
  context: ReconcilerContext,
  onChange: (nodeId: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { kubernetes, clock, log } = context;
  while (!signal.aborted) {
    try {
      await kubernetes.watchNodes((change) => takeChange(context, change, onChange), signal);
    } catch (error) {
      if (signal.aborted) return;
      log.warn('The watch on the nodes has failed', errorFields(error));
    }
    await clock.sleep(retryMs, signal).catch(() => undefined);
  }
}

function takeChange(
  context: ReconcilerContext,
  change: NodeChange,
  onChange: (nodeId: string) => void,
): void {
  if (change.kind === 'listed') {
    takeList(context, change.nodes);
    return;
  }
  const { readings } = context;
  readings.nodes ??= new Map();
  const { name } = change.node;
  if (change.kind === 'deleted') {
    readings.nodes.delete(name);
    context.addresses.forget(name);
  } else {
    readings.nodes.set(name, change.node);
    noteAddresses(context, change.node);
  }
  if (change.kind === 'added') noteCame(context, name);
  if (change.kind === 'deleted') note(context, name, 'gone');
  onChange(name);
}

function takeList(context: ReconcilerContext, listed: readonly KubernetesNode[]): void {
  const { readings, sweep } = context;
  const before = readings.nodes;
  const nodes = new Map(listed.map((node) => [node.name, node]));
  readings.nodes = nodes;
  for (const [name, { uid }] of before ?? []) if (nodes.get(name)?.uid !== uid) note(context, name, 'gone');
  if (before) for (const { name, uid } of listed) if (before.get(name)?.uid !== uid) noteCame(context, name);
  context.addresses.keep(new Set(nodes.keys()));
  for (const node of listed.toSorted((one, other) => one.createdAtMs - other.createdAtMs))
    noteAddresses(context, node);
  // Names are judged by their Nodes, and the first pass may have had no Nodes to judge by.
  if (!before) readings.isPassDue = true;
  sweep.askForAll();
}

/** What is meant for the kubelet of the other Node may go to this one (docs/security.md, the tunnels of k3s). */
function noteAddresses({ addresses, sharedAddresses, log }: ReconcilerContext, node: KubernetesNode): void {
  for (const { nodeId, address, sharedWith } of addresses.note(node)) {
    const subject = `${nodeId} ${address}`;
    const facts = { node_id: nodeId, address, shared_with: sharedWith };
    if (!sharedAddresses.count('node.address_shared', { reason: 'address_shared', subject }, facts)) continue;
    log.warn('A staked node reports the address of another node', {
      event: 'node.address-shared',
      nodeId,
      detail: `${address} is that of ${sharedWith} too`,
    });
  }
}

/** A worker's Node is not the operator's: its name is not looked up. */
function noteCame(context: ReconcilerContext, name: string): void {
  const worker = context.registry.worker(name);
  if (!(worker && isAdmitted(worker))) note(context, name, 'came');
}

function note({ sightings, queue }: ReconcilerContext, name: string, sighting: Sighting): void {
  sightings.add(name, sighting);
  queue.add(name);
}
