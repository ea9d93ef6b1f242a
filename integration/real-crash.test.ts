import { describe } from 'vitest';
import { describeCrashes } from './crash.suite.ts';
import { startRealServer } from './world/real-k3s.ts';

const binary = process.env.K3S_BIN ?? '';

describe.skipIf(binary === '')('at a real k3s server (K3S_BIN)', () => {
  describeCrashes({ startK3s: startRealServer(binary) });
});
