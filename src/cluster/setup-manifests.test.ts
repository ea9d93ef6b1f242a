import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { setupManifests } from './setup-manifests.ts';

test('the manifests come in the order of setup: homes of the names, policies, then the gateway and its rights', () => {
  const objects = parseAllDocuments(setupManifests()).map((document) => document.toJSON());
  const kinds = objects.map(({ kind }: { kind: string }) => kind);
  expect([...new Set(kinds)]).toEqual([
    'Namespace',
    'ValidatingAdmissionPolicy',
    'ValidatingAdmissionPolicyBinding',
    'Lease',
    'ServiceAccount',
    'Secret',
    'ClusterRole',
    'ClusterRoleBinding',
    'Role',
    'RoleBinding',
  ]);
  expect(kinds.filter((kind) => kind === 'ValidatingAdmissionPolicy')).toHaveLength(13);
  // The token is made by the cluster.
  expect(objects.find(({ kind }) => kind === 'Secret')).not.toHaveProperty('data');
});
