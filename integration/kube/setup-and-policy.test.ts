import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { openCluster, setupCluster } from '#cluster';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const found = inject('controlPlane');
describe.skipIf(found.kind === 'missing')('setup on the real API server', () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    if (found.kind === 'found') plane = await startControlPlane(found.binaries);
  });
  afterAll(() => plane?.close());

  test('setup prepares the cluster, proves the policy, and finds nothing to do the second time', async () => {
    const kubeconfig = { path: plane.adminKubeconfigPath };
    const first = await setupCluster({ kubeconfig });
    console.log(first.changes);
    const second = await setupCluster({ kubeconfig });
    expect(second.changes).toEqual([]);
    await using gateway = openCluster({ kubeconfig: { text: first.kubeconfig?.reveal() ?? '' } });
    expect(await gateway.policyState()).toEqual({ kind: 'in-place' });
  });
});
