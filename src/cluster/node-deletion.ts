import type { V1Node } from '@kubernetes/client-node';
import { DaasError } from '#base';
import { absentIsFine, conflictIsFine } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { patchNode, readNodeObject } from './nodes.ts';

type Signal = AbortSignal | undefined;

/** k3s sets it on every Node and takes it off when it has cleaned up (pkg/node/controller.go, wrangler). */
const K3S_FINALIZERS: ReadonlySet<string> = new Set(['wrangler.cattle.io/node']);

const pollMs = 50;

/**
 * Deletes a Node and waits until it is gone. Finalizers that are not k3s' own are taken off: a worker that set one before
 * the policies forbade it, or a program that does not answer, would keep the Node and its access. Resolves with them.
 * @throws `DAAS_NODE_HELD` (retryable) when its finalizers keep it for longer than `nodeGoneMs`.
 */
export async function deleteNode(
  context: KubernetesContext,
  { nodeId, uid }: { readonly nodeId: string; readonly uid?: string },
  signal: Signal,
): Promise<readonly string[]> {
  const { api } = context;
  const body = uid === undefined ? {} : { preconditions: { uid } };
  await conflictIsFine(
    absentIsFine(
      api.call(`delete node ${nodeId}`, (given) => api.core.deleteNode({ name: nodeId, body }, given), {
        signal,
      }),
    ),
  );
  return untilNodeIsGone(context, nodeId, signal);
}

/** k3s keeps every Node by a finalizer: a deleted one exists, and may be Ready, until k3s releases it (some 20 ms). */
async function untilNodeIsGone(
  context: KubernetesContext,
  nodeId: string,
  signal: Signal,
): Promise<readonly string[]> {
  const { api, clock, nodeGoneMs } = context;
  const deadlineMs = clock.monotonicMs() + nodeGoneMs;
  const stripped = new Set<string>();
  for (;;) {
    const left = await readNodeObject(api, nodeId, signal);
    // A Node that is not being deleted is another one of the same name.
    if (left?.metadata?.deletionTimestamp === undefined) return [...stripped];
    const foreign = (left.metadata.finalizers ?? []).filter((finalizer) => !K3S_FINALIZERS.has(finalizer));
    if (foreign.length > 0) {
      for (const finalizer of foreign) stripped.add(finalizer);
      await conflictIsFine(stripForeign(context, left, signal));
    }
    if (clock.monotonicMs() >= deadlineMs) throw stillHeld(nodeId, left);
    await clock.sleep(pollMs, signal);
  }
}

/** The list is replaced as a whole, so only if the Node is still as it was read. */
function stripForeign({ api }: KubernetesContext, { metadata }: V1Node, signal: Signal): Promise<void> {
  const name = metadata?.name ?? '';
  const finalizers = (metadata?.finalizers ?? []).filter((finalizer) => K3S_FINALIZERS.has(finalizer));
  const body = { metadata: { resourceVersion: metadata?.resourceVersion, uid: metadata?.uid, finalizers } };
  return patchNode(api, { what: `take foreign finalizers off node ${name}`, name, body }, signal);
}

function stillHeld(nodeId: string, node: V1Node): DaasError {
  const { finalizers } = node.metadata ?? {};
  return new DaasError(
    'DAAS_NODE_HELD',
    `the Node ${nodeId} is deleted, but its finalizers still keep it (${(finalizers ?? []).join(', ')}). Check that k3s server runs`,
    { isRetryable: true, details: { nodeId, finalizers } },
  );
}
