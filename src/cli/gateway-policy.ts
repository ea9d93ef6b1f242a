import { ConfigurationError } from '#base';
import type { openKubernetes } from '#cluster';

/** Throws `DAAS_POLICY_NOT_IN_PLACE` unless the cluster binds a join credential to its node name. */
export async function refuseWithoutPolicy(
  kubernetes: Pick<ReturnType<typeof openKubernetes>, 'policyState'>,
): Promise<void> {
  const policy = await kubernetes.policyState();
  if (policy.kind !== 'not-in-place') return;
  throw new ConfigurationError(
    'DAAS_POLICY_NOT_IN_PLACE',
    `the policy that binds node names is not in force, so a join credential would admit any name: run 'k3s-daas gateway setup' (${policy.problems.join('; ')})`,
    { details: { problems: policy.problems } },
  );
}
