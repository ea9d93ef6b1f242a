import type { V1Secret } from '@kubernetes/client-node';
import { absentIsFine, type KubeApi } from './kube-api.ts';
import { SYSTEM_NAMESPACE } from './words.ts';

const namespace = SYSTEM_NAMESPACE;
type Signal = AbortSignal | undefined;

/** Reads a Secret of kube-system; `undefined` when there is none of this name. */
export function readSecret(api: KubeApi, name: string, signal: Signal): Promise<V1Secret | undefined> {
  return absentIsFine(
    api.call(
      `read the Secret ${name}`,
      (given) => api.core.readNamespacedSecret({ name, namespace }, given),
      {
        signal,
      },
    ),
  );
}

export function createSecret(api: KubeApi, body: V1Secret, signal: Signal): Promise<V1Secret> {
  return api.call(
    `create the Secret ${body.metadata?.name}`,
    (given) => api.core.createNamespacedSecret({ namespace, body }, given),
    { signal },
  );
}

/** Deletes a Secret; with `uid` only if it is still that one. One that is gone is fine. */
export async function deleteSecret(
  api: KubeApi,
  { name, uid }: { readonly name: string; readonly uid: string | undefined },
  signal: Signal,
): Promise<void> {
  const body = uid === undefined ? {} : { preconditions: { uid } };
  await absentIsFine(
    api.call(
      `delete the Secret ${name}`,
      (given) => api.core.deleteNamespacedSecret({ name, namespace, body }, given),
      { signal },
    ),
  );
}

/** The text of one member of a Secret. */
export function textOf(secret: V1Secret, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}
