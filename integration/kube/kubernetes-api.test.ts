import { describe, inject } from 'vitest';
import { describeKubernetesApi } from '../standin/kubernetes-api.suite.ts';
import { startRealWorld } from './real-world.ts';

const found = inject('controlPlane');
describe.skipIf(found.kind === 'missing')('held to the real thing', () => {
  describeKubernetesApi('a real control plane', startRealWorld);
});
