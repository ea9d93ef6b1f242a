import { DaasError } from '#base';
import { ORDINARY, UNTAINTED } from '#domain';
import { admitName, readAdmittedNames, removeName } from './admitted-names.ts';
import { type KubeApi, KubeStatusError } from './kube-api.ts';
import {
  type Canary,
  canaryProbes,
  drawCanary,
  nodeProbesThatFail,
  nodeProbesThatPass,
  type PolicyProbe,
  policyProbes,
} from './node-policies.ts';
import { listNodeObjects } from './nodes.ts';
import type { SetupContext } from './setup.ts';

const deadlineMs = 15_000;
const pauseMs = 200;

/**
 * Proves that the policies are in force and read the names: requests as dry runs, as a worker would make them, under a
 * name that is listed for this moment. Each has to pass while the name is listed, and to be refused when it is not: a
 * policy that refuses everything, or one that decides on an old list, shows itself. The policies on updates are tried out on a
 * Node of the operator's, where there is one.
 * @throws `DAAS_POLICY_NOT_IN_FORCE` when an answer is not the right one within 15 s.
 */
export async function provePolicies(context: SetupContext): Promise<void> {
  const canary = drawCanary();
  try {
    await listCanary(context, canary);
    for (const probe of canaryProbes(canary)) await untilAnswer(context, probe, 'passes');
  } finally {
    // Also when the command is interrupted: the name must not stay.
    await removeName(context, canary.name, undefined);
  }
  for (const probe of [...canaryProbes(canary), ...policyProbes(canary)])
    await untilAnswer(context, probe, 'is refused');
  const node = await operatorsNode(context);
  if (node === undefined) return;
  for (const probe of nodeProbesThatPass(node)) await untilAnswer(context, probe, 'passes');
  for (const probe of nodeProbesThatFail(node)) await untilAnswer(context, probe, 'is refused');
}

/** A Node of the operator's, such as a k3s server: what agents write on it passes without a certificate. */
async function operatorsNode(context: SetupContext): Promise<string | undefined> {
  const { items } = await listNodeObjects(context.api, context.signal);
  const listed = await readAdmittedNames(context, context.signal);
  return items.map(({ metadata }) => metadata?.name ?? '').find((name) => listed.get(name) === ORDINARY);
}

function listCanary(context: SetupContext, { name, fingerprint }: Canary): Promise<void> {
  const vouches = [{ nodeId: name, identity: 'kubelet', fingerprint, notAfterMs: 0 }] as const;
  return admitName(context, { nodeId: name, tier: UNTAINTED, vouches, isContested: true }, context.signal);
}

/** The API server takes a moment to put a new policy in force, and it may have been started without the admission plugin. */
async function untilAnswer(
  context: SetupContext,
  probe: PolicyProbe,
  wanted: 'passes' | 'is refused',
): Promise<void> {
  const { clock, signal } = context;
  const endsAtMs = clock.monotonicMs() + deadlineMs;
  let answer = '';
  while (clock.monotonicMs() < endsAtMs) {
    const refusal = await ask(context, probe);
    const isRefused = refusal?.includes(`'${probe.policy}'`) ?? false;
    if (wanted === 'passes' ? refusal === undefined : isRefused) return;
    answer = refusal ?? 'it let the request pass';
    await clock.sleep(pauseMs, signal);
  }
  throw notInForce(probe, wanted, answer);
}

/** Resolves with the sentence of the refusal; `undefined` when the request passed. */
async function ask({ api, signal }: SetupContext, probe: PolicyProbe): Promise<string | undefined> {
  try {
    await api.call(`try out the policy ${probe.policy}`, (given) => requestOf(api, probe)(given), {
      signal,
      impersonate: probe.impersonate,
      ...(probe.kind === 'NodeStatus' && { patch: 'merge' }),
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof KubeStatusError)) throw error;
    return error.message;
  }
}

function requestOf({ core }: KubeApi, { kind, metadata }: PolicyProbe) {
  type Options = Parameters<typeof core.createNode>[1];
  if (kind === 'Node')
    return (given: Options): Promise<unknown> =>
      core.createNode({ dryRun: 'All', body: { metadata } }, given);
  if (kind === 'NodeStatus')
    return (given: Options): Promise<unknown> =>
      core.patchNodeStatus({ name: metadata.name, dryRun: 'All', body: { metadata } }, given);
  const body = { metadata, involvedObject: { kind: 'Node', name: metadata.name }, reason: 'Probe' };
  return (given: Options): Promise<unknown> =>
    core.createNamespacedEvent({ namespace: 'default', dryRun: 'All', body }, given);
}

function notInForce({ policy }: PolicyProbe, wanted: string, answer: string): DaasError {
  return new DaasError(
    'DAAS_POLICY_NOT_IN_FORCE',
    `the policy ${policy} is written, but the API server does not apply it: a request that ${wanted === 'passes' ? 'it must let pass' : 'it must refuse'} got another answer (${answer}). Check that ValidatingAdmissionPolicy is not among its disable-admission-plugins`,
  );
}
