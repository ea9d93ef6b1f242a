import type { V1Node } from '@kubernetes/client-node';
import type { KubernetesNode, KubernetesPort } from '#domain';
import { base58OfId } from './base58.ts';
import { absentIsFine, conflictIsFine, type KubeApi } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { kubernetesNodeOf } from './node-reading.ts';
import { NODE_ATTESTATION, NODE_MARK, NODE_OWNER, NODE_TIER } from './words.ts';

type Signal = AbortSignal | undefined;

export async function readNode(
  { api }: KubernetesContext,
  name: string,
  signal: Signal,
): Promise<KubernetesNode | undefined> {
  const found = await readNodeObject(api, name, signal);
  return found && kubernetesNodeOf(found);
}

/** The Node as the API server has it; `undefined` when there is none of this name. */
export function readNodeObject(api: KubeApi, name: string, signal: Signal): Promise<V1Node | undefined> {
  return absentIsFine(
    api.call(`read node ${name}`, (given) => api.core.readNode({ name }, given), { signal }),
  );
}

export async function listNodes(
  { api }: KubernetesContext,
  signal: Signal,
): Promise<readonly KubernetesNode[]> {
  const list = await listNodeObjects(api, signal);
  return list.items.map(kubernetesNodeOf);
}

export function listNodeObjects(api: KubeApi, signal: Signal) {
  return api.call('list the nodes', (given) => api.core.listNode({}, given), { signal });
}

/** Changes a Node by a merge patch. An absent Node is fine. */
export async function patchNode(
  api: KubeApi,
  { what, name, body }: { readonly what: string; readonly name: string; readonly body: object },
  signal: Signal,
): Promise<void> {
  await absentIsFine(
    api.call(what, (given) => api.core.patchNode({ name, body }, given), { signal, patch: 'merge' }),
  );
}

/** Sets the labels that name stake record, tier, staker and evidence of a Node. */
export async function markNode(
  { api }: KubernetesContext,
  { nodeId, recordId, tier, staker, attestation }: Parameters<KubernetesPort['markNode']>[0],
  signal: Signal,
): Promise<void> {
  const owner = staker === undefined ? {} : { [NODE_OWNER]: base58OfId(staker) };
  const found = await readNodeObject(api, nodeId, signal);
  if (!found) return;
  const labels = {
    [NODE_MARK]: base58OfId(recordId),
    [NODE_TIER]: tier,
    ...owner,
    // A merge patch removes what is null.
    [NODE_ATTESTATION]: attestation ?? null,
  };
  // Another Node of the same name is another holder's.
  const uid = found.metadata?.uid;
  const body = { metadata: { ...(uid !== undefined && { uid }), labels } };
  await conflictIsFine(patchNode(api, { what: `mark node ${nodeId}`, name: nodeId, body }, signal));
}
