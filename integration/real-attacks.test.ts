import { describe } from 'vitest';
import { describeAttacks } from './attacks.suite.ts';
import { startRealServer } from './world/real-k3s.ts';

const binary = process.env.K3S_BIN ?? '';

describe.skipIf(binary === '')('at a real k3s server (K3S_BIN)', () => {
  describeAttacks({ startK3s: startRealServer(binary) });
});
