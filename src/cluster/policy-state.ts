import type { Clock } from '#base';
import { readAdmittedNames } from './admitted-names.ts';
import { isNotFound, type KubeApi, KubeStatusError } from './kube-api.ts';
import { nodePolicies } from './node-policies.ts';
import { isSameSpec, type PolicyPair } from './policy-pair.ts';

/** Whether node names are bound in this cluster. `k3s-daas gateway run` starts only on `in-place`. */
export type PolicyState =
  | { readonly kind: 'in-place' }
  | { readonly kind: 'not-in-place'; readonly problems: readonly string[] };

interface Look {
  readonly api: KubeApi;
  readonly signal: AbortSignal | undefined;
  readonly problems: string[];
  wasForbidden: boolean;
}

const looks = 7;
const pauseMs = 500;

/**
 * Compares the policies and their bindings with what `gateway setup` writes, and looks whether the names can be read. What is forbidden is read
 * again for up to 3 s: an API server that has just started refuses every request until it has read its roles (measured
 * on k3s: some 0.3 s), and a gateway that starts with it must not take that for a cluster that was never set up.
 */
export async function readPolicyState(
  api: KubeApi,
  clock: Clock,
  signal?: AbortSignal,
): Promise<PolicyState> {
  for (let count = 1; ; count += 1) {
    const { problems, wasForbidden } = await lookOnce(api, signal);
    if (problems.length === 0) return { kind: 'in-place' };
    if (!wasForbidden || count === looks) return { kind: 'not-in-place', problems };
    await clock.sleep(pauseMs, signal);
  }
}

async function lookOnce(api: KubeApi, signal: AbortSignal | undefined): Promise<Look> {
  const look: Look = { api, signal, problems: [], wasForbidden: false };
  for (const pair of nodePolicies()) {
    await comparePolicy(look, pair);
    await compareBinding(look, pair);
  }
  const names = await lookUp(look, readAdmittedNames({ api }, signal));
  if (!names) look.problems.push('the admitted names cannot be read');
  return look;
}

async function comparePolicy(look: Look, { policy }: PolicyPair): Promise<void> {
  const { api, signal, problems } = look;
  const name = policy.metadata?.name ?? '';
  const found = await lookUp(
    look,
    api.call(
      `read the policy ${name}`,
      (given) => api.admission.readValidatingAdmissionPolicy({ name }, given),
      { signal },
    ),
  );
  if (!found) problems.push(`the ValidatingAdmissionPolicy ${name} is missing`);
  else if (!isSameSpec(found.spec, policy.spec))
    problems.push(`the ValidatingAdmissionPolicy ${name} is not the one that this version writes`);
  for (const { fieldRef, warning } of found?.status?.typeChecking?.expressionWarnings ?? [])
    problems.push(`the ValidatingAdmissionPolicy ${name} fails the type check at ${fieldRef}: ${warning}`);
}

async function compareBinding(look: Look, { policy, binding }: PolicyPair): Promise<void> {
  const { api, signal, problems } = look;
  const name = policy.metadata?.name ?? '';
  const bound = await lookUp(
    look,
    api.call(
      `read the binding ${name}`,
      (given) => api.admission.readValidatingAdmissionPolicyBinding({ name }, given),
      { signal },
    ),
  );
  if (!bound) problems.push(`the ValidatingAdmissionPolicyBinding ${name} is missing`);
  else if (!isSameSpec(bound.spec, binding.spec))
    problems.push(`the ValidatingAdmissionPolicyBinding ${name} is not the one that this version writes`);
}

/** What is forbidden counts as missing: before setup has run, the gateway has no right to read it. */
async function lookUp<T>(look: Look, request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    const isForbidden = error instanceof KubeStatusError && error.status === 403;
    if (!isForbidden && !isNotFound(error)) throw error;
    look.wasForbidden ||= isForbidden;
    return undefined;
  }
}
