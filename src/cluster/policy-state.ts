import { isNotFound, type KubeApi, KubeStatusError } from './kube-api.ts';
import { isSameSpec, nodeMarksPolicy, nodeNamesPolicy } from './policy.ts';
import { ADMITTED_CONFIG_MAP, SYSTEM_NAMESPACE } from './words.ts';

/** Whether node names are bound in this cluster: `k3s-daas gateway` starts on `in-place` alone. */
export type PolicyState =
  | { readonly kind: 'in-place' }
  | { readonly kind: 'not-in-place'; readonly problems: readonly string[] };

/** Compares the policies, their bindings and the ConfigMap with what `gateway setup` writes. */
export async function readPolicyState(api: KubeApi, signal?: AbortSignal): Promise<PolicyState> {
  const problems: string[] = [];
  for (const { policy, binding } of [nodeNamesPolicy(), nodeMarksPolicy()]) {
    const name = policy.metadata?.name ?? '';
    const found = await lookUp(
      api.call(
        `read the policy ${name}`,
        (given) => api.admission.readValidatingAdmissionPolicy({ name }, given),
        { signal },
      ),
    );
    const bound = await lookUp(
      api.call(
        `read the binding ${name}`,
        (given) => api.admission.readValidatingAdmissionPolicyBinding({ name }, given),
        { signal },
      ),
    );
    if (!found) problems.push(`the ValidatingAdmissionPolicy ${name} is missing`);
    else if (!isSameSpec(found.spec, policy.spec))
      problems.push(`the ValidatingAdmissionPolicy ${name} is not the one that this version writes`);
    for (const { fieldRef, warning } of found?.status?.typeChecking?.expressionWarnings ?? [])
      problems.push(`the ValidatingAdmissionPolicy ${name} fails the type check at ${fieldRef}: ${warning}`);
    if (!bound) problems.push(`the ValidatingAdmissionPolicyBinding ${name} is missing`);
    else if (!isSameSpec(bound.spec, binding.spec))
      problems.push(`the ValidatingAdmissionPolicyBinding ${name} is not the one that this version writes`);
  }
  const names = await lookUp(
    api.call(
      'read the admitted names',
      (given) =>
        api.core.readNamespacedConfigMap({ name: ADMITTED_CONFIG_MAP, namespace: SYSTEM_NAMESPACE }, given),
      { signal },
    ),
  );
  if (!names) problems.push(`the ConfigMap ${SYSTEM_NAMESPACE}/${ADMITTED_CONFIG_MAP} is missing`);
  return problems.length === 0 ? { kind: 'in-place' } : { kind: 'not-in-place', problems };
}

/** What cannot be seen is taken for missing: before setup has run, the gateway may not even look. */
async function lookUp<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isNotFound(error) || (error instanceof KubeStatusError && error.status === 403)) return undefined;
    throw error;
  }
}
