import type { V1Role } from '@kubernetes/client-node';
import { absentIsFine, conflictIsFine, type KubeApi } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { listingOfRole } from './name-role.ts';
import { nameNamespaces } from './name-shards.ts';
import { isListOfAddresses } from './operators-addresses.ts';

type Signal = AbortSignal | undefined;

const RENEWED = 'k3s-daas.io/renewed';
const atOnce = 8;

/**
 * Gives the object of every listed name, and of the operator's addresses, another version, and nothing else: what a gateway that led before has under way
 * names the earlier version, and fails. Resolves with how many there were.
 */
export async function renewNames(
  { api, clock }: Pick<KubernetesContext, 'api' | 'clock'>,
  signal: Signal,
): Promise<number> {
  const stamp = `${clock.nowMs()}-${Math.random().toString(36).slice(2)}`;
  let count = 0;
  for (const namespace of nameNamespaces()) {
    const { items } = await api.call(
      'list the admitted names',
      (given) => api.rbac.listNamespacedRole({ namespace }, given),
      { signal },
    );
    const names = items.filter((role) => listingOfRole(role) !== undefined);
    const due = [...names, ...items.filter(isListOfAddresses)];
    for (let start = 0; start < due.length; start += atOnce)
      await Promise.all(
        due.slice(start, start + atOnce).map((role) => renew(api, { role, namespace, stamp }, signal)),
      );
    count += names.length;
  }
  return count;
}

interface Renewal {
  readonly role: V1Role;
  readonly namespace: string;
  readonly stamp: string;
}

async function renew(api: KubeApi, { role, namespace, stamp }: Renewal, signal: Signal): Promise<void> {
  const name = role.metadata?.name ?? '';
  const annotations = { ...role.metadata?.annotations, [RENEWED]: stamp };
  const body: V1Role = Object.assign({}, role, {
    metadata: Object.assign({}, role.metadata, { annotations }),
  });
  const renewed = api.call(
    `renew the name ${name}`,
    (given) => api.rbac.replaceNamespacedRole({ name, namespace, body }, given),
    { signal },
  );
  // It has another version, or is gone, in any case.
  await absentIsFine(conflictIsFine(renewed));
}
