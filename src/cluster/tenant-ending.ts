import type { CoreV1Event } from '@kubernetes/client-node';
import { namespaceOfWallet, type TenantKeeper } from '#domain';
import { absentIsFine, conflictIsFine, isConflict, isNotFound } from './kube-api.ts';
import { change, type TenantContext, withMetadata } from './tenant-keeping.ts';
import { TENANT_ENDED, TENANT_KEPT_UNTIL } from './words.ts';

type End = Parameters<TenantKeeper['announceEnd']>[0];

/** Annotations for programs, an Event for people: `kubectl get events` shows it. */
export async function announceEnd(context: TenantContext, end: End): Promise<void> {
  const name = namespaceOfWallet(end.wallet);
  const endedAt = new Date(end.endedAtMs).toISOString();
  const keptUntil = new Date(end.keptUntilMs).toISOString();
  const wanted = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  const made = await change(context, wanted, (found) => {
    const { annotations = {} } = found.metadata ?? {};
    if (annotations[TENANT_ENDED] !== undefined) return undefined;
    const next = { ...annotations, [TENANT_ENDED]: endedAt, [TENANT_KEPT_UNTIL]: keptUntil };
    return withMetadata(found, { annotations: next });
  });
  if (made === undefined) return;
  const after = end.isRemoved ? 'removed after that' : 'kept until the operator removes it';
  await createEvent(context, name, {
    at: new Date(end.endedAtMs),
    reason: 'StakeEnded',
    message: `No stake of ${end.wallet} counts since ${endedAt}: logins are refused. The namespace is kept until ${keptUntil}, and ${after}; a new login ends the countdown.`,
  });
}

async function createEvent(
  { api, signal }: TenantContext,
  namespace: string,
  { at, reason, message }: { readonly at: Date; readonly reason: string; readonly message: string },
): Promise<void> {
  // Its name is that of the end: a call whose answer was lost is made again, and must not announce it twice.
  const body: CoreV1Event = {
    metadata: { name: `${namespace}.${at.getTime().toString(16)}`, namespace },
    involvedObject: { apiVersion: 'v1', kind: 'Namespace', name: namespace, namespace },
    type: 'Warning',
    source: { component: 'k3s-daas-gateway' },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
    reason,
    message,
  };
  await conflictIsFine(
    api.call(
      `announce the end of ${namespace}`,
      (given) => api.core.createNamespacedEvent({ namespace, body }, given),
      { signal },
    ),
  );
}

/** Not if somebody has logged in since: the version that was read must still be the newest. */
export async function removeNamespace({ api, signal }: TenantContext, wallet: string): Promise<boolean> {
  const name = namespaceOfWallet(wallet);
  const found = await absentIsFine(
    api.call(`read namespace ${name}`, (given) => api.core.readNamespace({ name }, given), { signal }),
  );
  const { annotations = {}, uid = '', resourceVersion = '' } = found?.metadata ?? {};
  if (annotations[TENANT_ENDED] === undefined) return false;
  const body = { preconditions: { uid, resourceVersion } };
  try {
    const what = `remove namespace ${name}`;
    await api.call(what, (given) => api.core.deleteNamespace({ name, body }, given), { signal });
    return true;
  } catch (error) {
    if (isConflict(error) || isNotFound(error)) return false;
    throw error;
  }
}
