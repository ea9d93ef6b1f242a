import type { V1Secret } from '@kubernetes/client-node';
import type { NodePasswordSecret } from '#domain';
import { removeName } from './admitted-names.ts';
import { conflictIsFine, isConflict } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { createSecret, deleteSecret, readSecret, textOf } from './secrets.ts';
import {
  marksOfSecret,
  NODE_PASSWORD_TYPE,
  nodeOfPasswordSecret,
  passwordSecretName,
  secretMarks,
} from './words.ts';

type Signal = AbortSignal | undefined;

export async function nodePassword(
  { api }: KubernetesContext,
  nodeId: string,
  signal: Signal,
): Promise<NodePasswordSecret | undefined> {
  const found = await readSecret(api, passwordSecretName(nodeId), signal);
  return found && nodePasswordOf(found);
}

/** Replaces the password Secret of a node name: Secrets of this kind are immutable. */
export async function reserveNodePassword(
  context: KubernetesContext,
  { nodeId, hash, recordId }: { readonly nodeId: string; readonly hash: string; readonly recordId: string },
  signal: Signal,
): Promise<void> {
  const { api, clock, nameRemovalMs } = context;
  const name = passwordSecretName(nodeId);
  const body: V1Secret = {
    metadata: { name, labels: secretMarks(nodeId, recordId) },
    type: NODE_PASSWORD_TYPE,
    immutable: true,
    stringData: { hash },
  };
  // Between the old Secret and the new one any join credential can claim the name. It must not be admitted then: the
  // claimant, or one that comes after a crash right here, could register it.
  if (await removeName(context, nodeId, signal)) await clock.sleep(nameRemovalMs, signal);
  // k3s makes such a Secret for the first claimant: one that appears in between is deleted too.
  for (let attempt = 1; ; attempt += 1) {
    await deleteSecret(api, { name, uid: undefined }, signal);
    try {
      await createSecret(api, body, signal);
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === 5) throw error;
    }
  }
}

/** Deletes the password Secret of a node name if it carries the gateway's mark. */
export async function releaseNodePassword(
  { api }: KubernetesContext,
  nodeId: string,
  signal: Signal,
): Promise<void> {
  const name = passwordSecretName(nodeId);
  const found = await readSecret(api, name, signal);
  if (!found || nodePasswordOf(found)?.recordId === undefined) return;
  await conflictIsFine(deleteSecret(api, { name, uid: found.metadata?.uid }, signal));
}

/** Reads a node-password Secret; `undefined` for any other Secret. */
export function nodePasswordOf(secret: V1Secret): NodePasswordSecret | undefined {
  const nodeId = nodeOfPasswordSecret(secret.metadata?.name ?? '');
  if (nodeId === undefined) return undefined;
  const marks = marksOfSecret(secret.metadata?.labels);
  return {
    nodeId,
    // A mark that names another node was copied from there: this Secret is not the gateway's.
    recordId: marks?.nodeId === nodeId ? marks.recordId : undefined,
    hash: textOf(secret, 'hash') ?? '',
  };
}
