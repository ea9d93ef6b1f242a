import { isOperatorsName } from '#domain';
import type { ReconcilerContext } from './reconciler-context.ts';

/** The name goes first: once it is not admitted, no credential can register a Node under it. */
export async function revokeAccess(
  context: ReconcilerContext,
  nodeId: string,
  signal?: AbortSignal,
): Promise<void> {
  await revokeName(context, nodeId, signal);
  await revokeCredentials(context, nodeId, signal);
}

/** Takes a name off the admitted ones. One that an administrator has reserved since stays: it is the operator's now. */
export async function revokeName(
  { kubernetes, audit }: ReconcilerContext,
  nodeId: string,
  signal?: AbortSignal,
): Promise<void> {
  if (isOperatorsName(await kubernetes.admittedName(nodeId, signal))) return;
  await kubernetes.removeName(nodeId, signal);
  audit.recordLockOut('name.removed', { node_id: nodeId });
}

/** Revokes every join credential of a node. */
export async function revokeCredentials(
  { kubernetes, audit }: ReconcilerContext,
  nodeId: string,
  signal?: AbortSignal,
): Promise<void> {
  for (const credential of await kubernetes.joinCredentials(signal)) {
    if (credential.nodeId !== nodeId) continue;
    await kubernetes.revokeJoinCredential(credential.id, signal);
    audit.recordLockOut('credential.revoked', { node_id: nodeId, credential: credential.id });
  }
}
