import { byKubelet, forbid, type PolicyPair, pair, strict } from './policy-pair.ts';
import { addressRules, addressVariables } from './reported-addresses.ts';
import { ownershipRules } from './shared-identities-policy.ts';
import { NODE_MARK } from './words.ts';

const memberOf = (object: string, member: string, empty: string) =>
  `(${object} != null && has(${object}.spec) && has(${object}.spec.${member}) ? ${object}.spec.${member} : ${empty})`;
const isSame = (member: string, empty: string) =>
  `${memberOf('object', member, empty)} == ${memberOf('oldObject', member, empty)}`;

/**
 * Writes of a kubelet to its own Node that no kubelet makes, and that NodeRestriction lets pass: finalizers and owners
 * (with which a slashed worker stays in the cluster), the ranges of pod addresses (with which it takes the traffic of
 * another Node's pods: the controller hands out free ranges, but believes those that it finds), the end of an
 * operator's cordon, and, for a staked Node, the addresses of the operator's Nodes (with which it takes their tunnels).
 */
export function workerNodesPolicy(): PolicyPair {
  return pair('k3s-daas-worker-nodes', {
    ...strict(['nodes', 'nodes/status'], ['CREATE', 'UPDATE']),
    matchConditions: [{ name: 'by-a-kubelet', expression: byKubelet }],
    variables: addressVariables(),
    validations: [
      ...ownershipRules('kubelets'),
      forbid(
        'kubelets choose no range of pod addresses: the cluster gives it to the Node',
        `${isSame('podCIDR', "''")} && ${isSame('podCIDRs', '[]')}`,
      ),
      forbid(
        'the kubelet of a staked node does not end its cordon',
        `oldObject == null || !(has(oldObject.metadata.labels) && '${NODE_MARK}' in oldObject.metadata.labels) || !${memberOf('oldObject', 'unschedulable', 'false')} || ${memberOf('object', 'unschedulable', 'false')}`,
      ),
      ...addressRules(),
    ],
  });
}
