import { DaasError } from '#base';
import { KubeStatusError } from './kube-api.ts';
import type { PolicyProbe } from './node-policies.ts';
import type { SetupContext } from './setup.ts';

const deadlineMs = 15_000;
const pauseMs = 200;

/**
 * Asks for a Node as a worker would, as a dry run, until the policy refuses it. The API server takes a moment to put a
 * new policy in force, and it may have been started with the admission plugin disabled.
 * @throws `DAAS_POLICY_NOT_IN_FORCE` when the policy has refused nothing for 15 s.
 */
export async function provePolicy(
  { api, clock, signal }: SetupContext,
  { policy, impersonate, metadata }: PolicyProbe,
): Promise<void> {
  const endsAtMs = clock.monotonicMs() + deadlineMs;
  let answer = 'it admitted the Node';
  while (clock.monotonicMs() < endsAtMs) {
    try {
      await api.call(
        `try out the policy ${policy}`,
        (given) => api.core.createNode({ dryRun: 'All', body: { metadata } }, given),
        { signal, impersonate },
      );
    } catch (error) {
      if (!(error instanceof KubeStatusError)) throw error;
      if (error.message.includes(`'${policy}'`)) return;
      answer = error.message;
    }
    await clock.sleep(pauseMs, signal);
  }
  throw new DaasError(
    'DAAS_POLICY_NOT_IN_FORCE',
    `the policy ${policy} is written, but the API server does not apply it (${answer}): check that ValidatingAdmissionPolicy is not among its disable-admission-plugins`,
  );
}
