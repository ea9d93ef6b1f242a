import type { V1ConfigMap } from '@kubernetes/client-node';
import { ConfigurationError, DaasError } from '#base';
import { isOperatorsName } from '#domain';
import { isConflict, isNotFound, type KubeApi, type KubeStatusError } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { ADMITTED_CONFIG_MAP, SYSTEM_NAMESPACE } from './words.ts';

type Signal = AbortSignal | undefined;

/** The listing of a name before and after a change; `undefined`: not listed. */
type Relisting = (current: string | undefined) => string | undefined;

const mostAttempts = 20;

/** Reads the ConfigMap of the admitted names. */
export function readAdmittedMap(api: KubeApi, signal: Signal): Promise<V1ConfigMap> {
  return api.call(
    'read the admitted names',
    (given) =>
      api.core.readNamespacedConfigMap({ name: ADMITTED_CONFIG_MAP, namespace: SYSTEM_NAMESPACE }, given),
    { signal },
  );
}

/** @throws `DAAS_CLUSTER_NOT_SET_UP` without the ConfigMap. */
export async function readAdmittedNames(
  { api }: KubernetesContext,
  signal: Signal,
): Promise<ReadonlyMap<string, string>> {
  const { data } = await readAdmittedMap(api, signal).catch(explainMissingSetup);
  return new Map(Object.entries(data ?? {}));
}

/** @throws `DAAS_NAME_RESERVED` for a name of the operator's. */
export async function admitName(
  context: KubernetesContext,
  { nodeId, tier }: { readonly nodeId: string; readonly tier: string },
  signal: Signal,
): Promise<void> {
  await changeListing(context, nodeId, (current) => staked(nodeId, current, tier), signal);
}

/**
 * Takes a staked name off the list; resolves with whether it was there.
 * @throws `DAAS_NAME_RESERVED` for a name of the operator's.
 */
export function removeName(context: KubernetesContext, nodeId: string, signal: Signal): Promise<boolean> {
  return changeListing(context, nodeId, (current) => staked(nodeId, current, undefined), signal);
}

/** Changes the listing of a name if it is `from` now; resolves with whether it was. */
export function relistName(
  context: KubernetesContext,
  { name, from, to }: { readonly name: string; readonly from: string; readonly to: string },
  signal: Signal,
): Promise<boolean> {
  return changeListing(context, name, (current) => (current === from ? to : current), signal);
}

function staked(nodeId: string, current: string | undefined, tier: string | undefined): string | undefined {
  if (current !== tier && isOperatorsName(current)) throw reservedName(nodeId, current);
  return tier;
}

/** Resolves with whether the listing of this name changed. What others write to the list stays. */
async function changeListing(
  { api, clock }: KubernetesContext,
  name: string,
  next: Relisting,
  signal: Signal,
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    const { data, metadata } = await readAdmittedMap(api, signal).catch(explainMissingSetup);
    const current = data?.[name];
    const wanted = next(current);
    if (current === wanted) return false;
    // With the version that was read: a name that an administrator reserves in between must not be overwritten.
    const body = {
      metadata: { resourceVersion: metadata?.resourceVersion },
      data: { [name]: wanted ?? null },
    };
    try {
      await patchAdmittedMap(api, `change the admitted name ${name}`, body, signal);
      return true;
    } catch (error) {
      if (!isConflict(error) || attempt === mostAttempts) throw error;
      await clock.sleep(Math.ceil(Math.random() * 20 * attempt), signal);
    }
  }
}

/** Merges `body` into the ConfigMap of the admitted names. */
export function patchAdmittedMap(api: KubeApi, what: string, body: object, signal: Signal): Promise<unknown> {
  return api.call(
    what,
    (given) =>
      api.core.patchNamespacedConfigMap(
        { name: ADMITTED_CONFIG_MAP, namespace: SYSTEM_NAMESPACE, body },
        given,
      ),
    { signal, patch: 'merge' },
  );
}

function reservedName(nodeId: string, listing: string | undefined): DaasError {
  return new ConfigurationError(
    'DAAS_NAME_RESERVED',
    `the node name ${nodeId} is the operator's, listed as ${listing} in the ConfigMap ${SYSTEM_NAMESPACE}/${ADMITTED_CONFIG_MAP}: no stake can take or free it. An administrator can remove the key`,
    { details: { nodeId } },
  );
}

function explainMissingSetup(error: unknown): never {
  if (!isNotFound(error)) throw error;
  const { details } = error as KubeStatusError;
  throw new DaasError(
    'DAAS_CLUSTER_NOT_SET_UP',
    `the ConfigMap ${SYSTEM_NAMESPACE}/${ADMITTED_CONFIG_MAP} is missing, so no Node can register: run 'k3s-daas gateway setup'`,
    { details, cause: error },
  );
}
