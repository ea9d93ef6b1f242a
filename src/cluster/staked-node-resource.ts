import type {
  KubernetesObject,
  RbacV1Subject,
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1CustomResourceDefinition,
  V1JSONSchemaProps,
} from '@kubernetes/client-node';
import { celText, forbid, matching, type PolicyPair, pair } from './policy-pair.ts';
import { MANAGED_BY, OURS } from './words.ts';

export const STAKED_NODE_GROUP = 'k3s-daas.io';
export const STAKED_NODE_VERSION = 'v1alpha1';
export const STAKED_NODE_PLURAL = 'stakednodes';
const NAME = 'k3s-daas-staked-nodes';
const labels = { [MANAGED_BY]: OURS };
const rbac = 'rbac.authorization.k8s.io';

const text: V1JSONSchemaProps = { type: 'string' };
const object = (properties: Record<string, V1JSONSchemaProps>, required?: string[]): V1JSONSchemaProps => ({
  type: 'object',
  properties,
  ...(required && { required }),
});

const schema = object({
  apiVersion: text,
  kind: text,
  metadata: { type: 'object' },
  spec: object({ wallet: text, stakeRecord: text, sealToken: text }),
  status: object({
    stake: text,
    state: text,
    tier: text,
    expires: text,
    conditions: {
      type: 'array',
      x_kubernetes_list_type: 'map',
      x_kubernetes_list_map_keys: ['type'],
      items: object(
        {
          type: text,
          status: { type: 'string', _enum: ['True', 'False', 'Unknown'] },
          reason: text,
          message: text,
          lastTransitionTime: { type: 'string', format: 'date-time' },
        },
        ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
      ),
    },
  }),
});

/** `kubectl get sn`. Complete, as the API server writes it back, so that `setup` sees no difference. */
function stakedNodeDefinition(): V1CustomResourceDefinition {
  const column = (name: string, type: string, jsonPath: string) => ({ name, type, jsonPath });
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${STAKED_NODE_PLURAL}.${STAKED_NODE_GROUP}`, labels },
    spec: {
      group: STAKED_NODE_GROUP,
      scope: 'Cluster',
      conversion: { strategy: 'None' },
      names: {
        plural: STAKED_NODE_PLURAL,
        singular: 'stakednode',
        kind: 'StakedNode',
        listKind: 'StakedNodeList',
        shortNames: ['sn'],
        categories: ['k3s-daas'],
      },
      versions: [
        {
          name: STAKED_NODE_VERSION,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          additionalPrinterColumns: [
            column('Stake', 'string', '.status.stake'),
            column('State', 'string', '.status.state'),
            column('Tier', 'string', '.status.tier'),
            column('Expires', 'string', '.status.expires'),
            column('Age', 'date', '.metadata.creationTimestamp'),
          ],
        },
      ],
    },
  };
}

/** Everybody who may see Nodes may see these; the gateway writes them. */
export function stakedNodeObjects(gatewaySubjects: RbacV1Subject[]): KubernetesObject[] {
  const apiVersion = `${rbac}/v1`;
  const resources = [STAKED_NODE_PLURAL];
  const writer: V1ClusterRole = {
    apiVersion,
    kind: 'ClusterRole',
    metadata: { name: NAME, labels },
    rules: [
      {
        apiGroups: [STAKED_NODE_GROUP],
        resources,
        verbs: ['get', 'list', 'create', 'patch', 'delete'],
      },
    ],
  };
  const binding: V1ClusterRoleBinding = {
    apiVersion,
    kind: 'ClusterRoleBinding',
    metadata: { name: NAME, labels },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: NAME },
    subjects: gatewaySubjects,
  };
  return [stakedNodeDefinition(), writer, binding];
}

/** What others wrote there would look like the gateway's word. */
export function stakedNodesPolicy(gatewayUser: string): PolicyPair {
  return pair(NAME, {
    ...matching([
      {
        apiGroups: [STAKED_NODE_GROUP],
        apiVersions: ['*'],
        operations: ['CREATE', 'UPDATE', 'DELETE'],
        resources: [STAKED_NODE_PLURAL, `${STAKED_NODE_PLURAL}/*`],
      },
    ]),
    validations: [
      forbid(
        'StakedNodes show what the gateway knows of stakes: the gateway alone writes them',
        `request.userInfo.username == ${celText(gatewayUser)}`,
      ),
    ],
  });
}
