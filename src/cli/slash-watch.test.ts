import { expect, test } from 'vitest';
import { ConfigurationError, DaasError } from '#base';
import type { ChainClient } from '#chain';
import { untilExecutable } from './slash-watch.ts';

const proposal = {
  id: '0xa',
  status: 'open',
  votes: ['0x1'],
  thresholdAtOpening: 1,
  executableAtMs: 0,
  expiresAtMs: 1e15,
};
const state = { parameters: { slashers: ['0x1'], slashThreshold: 1n }, pending: null };

/** A client whose reads fail with these errors first. */
function failing(...errors: readonly Error[]) {
  const waiting = [...errors];
  const client = {
    proposal: async () => {
      const error = waiting.shift();
      if (error) throw error;
      return proposal;
    },
    clusterState: async () => ({ state, version: 1n, nowMs: 1 }),
  } as unknown as ChainClient;
  return client;
}

test('a watched proposal is waited for through an outage of the full nodes, which is said once', async () => {
  const away = () => new DaasError('DAAS_CHAIN_UNAVAILABLE', 'the node is away', { isRetryable: true });
  const notes: string[] = [];
  let slept = 0;
  const clock = {
    sleep: async () => {
      slept += 1;
    },
  };
  await untilExecutable({ note: (text) => void notes.push(text) }, failing(away(), away()), '0xa', clock);
  expect([notes, slept]).toEqual([['waits: the node is away'], 2]);
});

test('what does not pass by itself ends the watch', async () => {
  const wrong = new ConfigurationError('DAAS_CHAIN_ID_MISMATCH', 'another chain');
  await expect(untilExecutable({ note: () => undefined }, failing(wrong), '0xa')).rejects.toBe(wrong);
});
