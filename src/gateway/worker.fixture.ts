import { noCertificates } from './certificates.ts';
import { id, STAKER } from './ids.fixture.ts';
import type { Worker } from './worker.ts';

export function aWorker(change: Partial<Worker> = {}): Worker {
  return {
    nodeId: 'worker-1',
    recordId: id('b1'),
    tokenId: id('a1'),
    tokenSequence: 1n,
    staker: STAKER,
    holderKey: 'k'.repeat(43),
    tier: 'basic',
    incarnation: 1,
    registeredAtMs: 1_000,
    status: { kind: 'member', credential: undefined },
    statusSinceMs: 1_000,
    lockedAtMs: undefined,
    firstReadyAtMs: 1_000,
    heldFor: undefined,
    host: {},
    certificates: noCertificates,
    isListingDue: false,
    ...change,
  };
}
