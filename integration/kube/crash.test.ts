import { describe, inject } from 'vitest';
import { describeCrashes } from '../crash.suite.ts';
import { startKubeK3s } from './kube-k3s.ts';

const { kind } = inject('controlPlane');

describe.skipIf(kind === 'missing')('on a real Kubernetes API server', () => {
  describeCrashes({ startK3s: startKubeK3s });
});
