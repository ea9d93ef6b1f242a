import { expect, test } from 'vitest';
import { endpointFigures } from './endpoint-figures.ts';

test('the state of an endpoint is JSON, with null for what is not known', () => {
  const figures = endpointFigures({
    url: 'https://node.example',
    state: 'blocked',
    chainId: undefined,
    checkpointHeight: 12n,
    lowestCheckpointHeight: undefined,
    lagMs: 0,
    latencyP95Ms: 12.6,
    calls: 3,
    failures: 1,
    blockedForMs: 60_000,
    contradiction: undefined,
  });
  expect(JSON.parse(JSON.stringify(figures))).toEqual({
    url: 'https://node.example',
    state: 'blocked',
    chain_id: null,
    checkpoint_height: '12',
    lowest_checkpoint_height: null,
    lag_ms: 0,
    latency_p95_ms: 13,
    calls: 3,
    failures: 1,
    blocked_for_ms: 60_000,
    contradiction: null,
  });
});
