import type { Clock } from '#base';
import { isNotFound, type KubeApi, KubeStatusError } from './kube-api.ts';
import { nodePolicies } from './node-policies.ts';
import { isSameSpec } from './policy-pair.ts';
import { ADMITTED_CONFIG_MAP, SYSTEM_NAMESPACE } from './words.ts';

/** Whether node names are bound in this cluster: `k3s-daas gateway` starts on `in-place` alone. */
export type PolicyState =
  | { readonly kind: 'in-place' }
  | { readonly kind: 'not-in-place'; readonly problems: readonly string[] };

const looks = 7;
const pauseMs = 500;

/**
 * Compares the policies, their bindings and the ConfigMap with what `gateway setup` writes. What may not be seen is looked
 * for again, up to 3 s: an API server that has just started refuses everybody until it has read its roles (measured on
 * k3s: some 0.3 s), and a gateway that starts with it must not take that for a cluster that was never set up.
 */
export async function readPolicyState(
  api: KubeApi,
  clock: Clock,
  signal?: AbortSignal,
): Promise<PolicyState> {
  for (let look = 1; ; look += 1) {
    const { problems, wasForbidden } = await lookOnce(api, signal);
    if (problems.length === 0) return { kind: 'in-place' };
    if (!wasForbidden || look === looks) return { kind: 'not-in-place', problems };
    await clock.sleep(pauseMs, signal);
  }
}

async function lookOnce(
  api: KubeApi,
  signal: AbortSignal | undefined,
): Promise<{ readonly problems: readonly string[]; readonly wasForbidden: boolean }> {
  const problems: string[] = [];
  let wasForbidden = false;
  /** What cannot be seen is taken for missing: before setup has run, the gateway may not even look. */
  async function lookUp<T>(request: Promise<T>): Promise<T | undefined> {
    try {
      return await request;
    } catch (error) {
      const isForbidden = error instanceof KubeStatusError && error.status === 403;
      if (!isForbidden && !isNotFound(error)) throw error;
      wasForbidden ||= isForbidden;
      return undefined;
    }
  }

  for (const { policy, binding } of nodePolicies()) {
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
  return { problems, wasForbidden };
}
