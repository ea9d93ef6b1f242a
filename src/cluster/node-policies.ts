import { nodeMarksPolicy, nodeNamesPolicy } from './policy.ts';
import type { PolicyPair } from './policy-pair.ts';
import { sharedIdentitiesPolicy } from './shared-identities-policy.ts';
import { workerNodesPolicy } from './worker-nodes-policy.ts';

/** A name that cannot be admitted: it is too long for a node id. */
const probeName = `k3s-daas-probe-${'x'.repeat(60)}`;

/** A Node asked for as a dry run by which a policy shows that it is in force, by refusing it. */
export interface PolicyProbe {
  readonly policy: string;
  readonly impersonate: { readonly user: string; readonly group: string };
  readonly metadata: { readonly name: string; readonly finalizers?: string[] };
}

/** The policies about Nodes, without which the gateway does not start. */
export const nodePolicies = (): PolicyPair[] => [
  nodeNamesPolicy(),
  nodeMarksPolicy(),
  sharedIdentitiesPolicy(),
  workerNodesPolicy(),
];

/**
 * The group of the last two is beyond every other check, so that only their own policy can refuse them. The policy of
 * marks is about updates alone, and has no probe.
 */
export const policyProbes = (): PolicyProbe[] => [
  {
    policy: 'k3s-daas-node-names',
    impersonate: { user: `system:node:${probeName}`, group: 'system:nodes' },
    metadata: { name: probeName },
  },
  {
    policy: 'k3s-daas-shared-identities',
    impersonate: { user: 'system:k3s-controller', group: 'system:masters' },
    metadata: { name: probeName },
  },
  {
    policy: 'k3s-daas-worker-nodes',
    impersonate: { user: `system:node:${probeName}`, group: 'system:masters' },
    metadata: { name: probeName, finalizers: ['k3s-daas.io/probe'] },
  },
];
