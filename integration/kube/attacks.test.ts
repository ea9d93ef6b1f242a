import { describe, inject } from 'vitest';
import { describeAttacks } from '../attacks.suite.ts';
import { startKubeK3s } from './kube-k3s.ts';

const { kind } = inject('controlPlane');

describe.skipIf(kind === 'missing')('on a real Kubernetes API server', () => {
  describeAttacks({ startK3s: startKubeK3s });
});
