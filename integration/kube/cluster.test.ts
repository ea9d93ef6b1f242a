import { afterAll, describe, inject } from 'vitest';
import { describeAgentJoin } from '../standin/agent-join.suite.ts';
import { describeKubernetesPort } from '../standin/cluster-port.suite.ts';
import { describeJoining } from '../standin/join.suite.ts';
import type { KubernetesWorld } from '../standin/kubernetes-api.suite.ts';
import { describeNodePolicy } from '../standin/node-policy.suite.ts';
import { describeNodeWrites } from '../standin/node-writes.suite.ts';
import { startRealWorld } from './real-world.ts';

const found = inject('controlPlane');
describe.skipIf(found.kind === 'missing')('proven on the real API server', () => {
  let starting: Promise<KubernetesWorld> | undefined;
  /** One control plane for all of them: it takes longer to start than most of these tests to run. */
  const shared = async (): Promise<KubernetesWorld> => {
    starting ??= startRealWorld();
    return { ...(await starting), [Symbol.asyncDispose]: async () => undefined };
  };
  afterAll(async () => (await starting)?.[Symbol.asyncDispose]());

  describeNodePolicy('a real control plane', shared);
  describeNodeWrites('a real control plane', shared);
  describeJoining('a real control plane', shared);
  describeKubernetesPort('a real control plane', shared);
  describeAgentJoin('a real control plane', shared);
});
