import type { KubernetesObject } from '@kubernetes/client-node';
import { DaasError } from '#base';
import { absentIsFine, isConflict } from './kube-api.ts';
import { verbsOf } from './objects.ts';
import { isSameSpec } from './policy-pair.ts';
import type { SetupContext, SetupStep } from './setup.ts';

type Members = Readonly<Record<string, unknown>>;

/** The step that creates or replaces an object; none when it is as wanted. */
export async function planObject(context: SetupContext, wanted: KubernetesObject): Promise<SetupStep[]> {
  const { api, signal } = context;
  const what = describeObject(wanted);
  const verbs = verbsOf(api, wanted.kind ?? '');
  const current = await absentIsFine(
    api.call(`read ${what}`, (given) => verbs.read(wanted, given), { signal }),
  );
  if (!current)
    return [
      {
        change: { action: 'create', what, why: 'it is missing' },
        apply: () => writeObject(context, 'create', wanted),
      },
    ];
  const different = differingMembers(current as unknown as Members, wanted as unknown as Members);
  if (different.length === 0) return [];
  return [
    {
      change: { action: 'replace', what, why: `${different.join(', ')} differ from what the gateway needs` },
      apply: () => writeObject(context, 'replace', replacing(current, wanted)),
    },
  ];
}

/** The labels of others stay, and the version that was read must still be the newest. */
function replacing(current: KubernetesObject, wanted: KubernetesObject): KubernetesObject {
  const metadata = Object.assign({}, wanted.metadata, {
    labels: { ...current.metadata?.labels, ...wanted.metadata?.labels },
    ...(current.metadata?.resourceVersion ? { resourceVersion: current.metadata.resourceVersion } : {}),
  });
  return { ...wanted, metadata } as KubernetesObject;
}

/** The members that decide what an object means; those of a Secret are the token controller's. */
function differingMembers(current: Members, wanted: Members): string[] {
  return ['spec', 'rules', 'roleRef', 'subjects'].filter(
    (member) => wanted[member] !== undefined && !isSameSpec(current[member], wanted[member]),
  );
}

/** @throws `DAAS_CLUSTER_CHANGED` (retryable) when another client wrote the object at the same time. */
async function writeObject(
  { api, signal }: SetupContext,
  action: 'create' | 'replace',
  object: KubernetesObject,
): Promise<void> {
  const what = describeObject(object);
  try {
    const verbs = verbsOf(api, object.kind ?? '');
    await api.call(`${action} ${what}`, (given) => verbs[action](object, given), { signal });
  } catch (error) {
    if (!isConflict(error)) throw error;
    throw new DaasError(
      'DAAS_CLUSTER_CHANGED',
      `another client changed ${what} at the same time. Run 'k3s-daas gateway setup' again`,
      { isRetryable: true, cause: error },
    );
  }
}

/** `ConfigMap kube-system/k3s-daas-admitted` */
export function describeObject({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata?.namespace ? `${metadata.namespace}/` : ''}${metadata?.name}`;
}
