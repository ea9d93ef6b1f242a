import { randomBytes } from 'node:crypto';
import { canaryName } from '#domain';
import type { Impersonation } from './kube-api.ts';
import { nodeMarksPolicy, nodeNamesPolicy, nodeWritesPolicy } from './policy.ts';
import type { PolicyPair } from './policy-pair.ts';
import { managedKey, sharedIdentitiesPolicy } from './shared-identities-policy.ts';
import { workerNodesPolicy } from './worker-nodes-policy.ts';

/** A request as a dry run by which a policy shows that it is in force. */
export interface PolicyProbe {
  readonly policy: string;
  readonly impersonate: Impersonation;
  /** `Node`, `Event`: created. `NodeStatus`: a patch of the status of a Node that is there. */
  readonly kind: 'Node' | 'Event' | 'NodeStatus';
  readonly metadata: {
    readonly name: string;
    readonly finalizers?: string[];
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
}

/** The policies about Nodes, without which the gateway does not start. */
export const nodePolicies = (): PolicyPair[] => [
  nodeNamesPolicy(),
  nodeWritesPolicy(),
  nodeMarksPolicy(),
  sharedIdentitiesPolicy(),
  workerNodesPolicy(),
];

/** A name and a certificate that nobody has: what they may do, setup decides. */
export interface Canary {
  readonly name: string;
  readonly fingerprint: string;
}

export const drawCanary = (): Canary => ({
  name: canaryName(randomBytes(6).toString('hex')),
  fingerprint: randomBytes(32).toString('hex'),
});

/** What passes while the canary is listed with its certificate, and is refused when it is not: both have to be seen. */
export function canaryProbes({ name, fingerprint }: Canary): PolicyProbe[] {
  const impersonate = { user: `system:node:${name}`, group: 'system:nodes', fingerprint };
  return [
    { policy: 'k3s-daas-node-names', impersonate, kind: 'Node', metadata: { name } },
    { policy: 'k3s-daas-node-writes', impersonate, kind: 'Event', metadata: { name } },
  ];
}

/** The group is beyond every other check, so that only the policies can refuse. */
const masters = 'system:masters';

/**
 * What agents write on a Node of the operator's that is there, and has to pass: a policy that refuses it would stop the node's
 * network, or the node.
 */
export const nodeProbesThatPass = (name: string): PolicyProbe[] => [
  {
    policy: 'k3s-daas-shared-identities',
    impersonate: { user: 'system:k3s-controller', group: masters },
    kind: 'NodeStatus',
    metadata: { name, annotations: { [managedKey]: 'true' } },
  },
  {
    policy: 'k3s-daas-worker-nodes',
    impersonate: { user: `system:node:${name}`, group: masters },
    kind: 'NodeStatus',
    metadata: { name, annotations: { [managedKey]: 'true' } },
  },
];

/** The same writers on the same Node, with what they must not write. */
export const nodeProbesThatFail = (name: string): PolicyProbe[] => [
  {
    policy: 'k3s-daas-shared-identities',
    impersonate: { user: 'system:k3s-controller', group: masters },
    kind: 'NodeStatus',
    metadata: { name, labels: { 'k3s-daas.io/probe': 'refused' } },
  },
  {
    policy: 'k3s-daas-worker-nodes',
    impersonate: { user: `system:node:${name}`, group: masters },
    kind: 'NodeStatus',
    metadata: { name, finalizers: ['k3s-daas.io/probe'] },
  },
];

/** What is refused always. The policy of marks is about updates alone, and has no probe. */
export const policyProbes = ({ name }: Canary): PolicyProbe[] => [
  {
    policy: 'k3s-daas-shared-identities',
    impersonate: { user: 'system:k3s-controller', group: masters },
    kind: 'Node',
    metadata: { name },
  },
  {
    policy: 'k3s-daas-worker-nodes',
    impersonate: { user: `system:node:${name}`, group: masters },
    kind: 'Node',
    metadata: { name, finalizers: ['k3s-daas.io/probe'] },
  },
];
