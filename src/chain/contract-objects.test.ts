import { describe, expect, test } from 'vitest';
import {
  type ClusterState,
  clusterFacts,
  decodeCluster,
  earlierUnlockMs,
  parametersAt,
  permissionsOf,
  proposalFacts,
  recordFacts,
  tokenFacts,
} from './contract-objects.ts';
import { cluster, k8sGateway, slashing, staking } from './generated/index.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;
const parameters: cluster.Parameters = {
  minimumStakeMist: 1_000n,
  minimumTopUpMist: 1n,
  tiers: [
    { stakeMist: 100n, permissions: ['pods:read'] },
    { stakeMist: 1_000n, permissions: ['nodes:write'] },
    { stakeMist: 10_000n, permissions: ['*:*'] },
  ],
  unbondingMs: 60_000n,
  maximumTokenEpochs: 5n,
  slashers: [id('a')],
  slashThreshold: 1n,
  proposalLifeMs: 15_000n,
  challengeMs: 0n,
  treasury: id('b'),
};

const ring = (...entries: cluster.RingEntry[]): cluster.Ring => ({ entries, droppedSeq: 0n });
const rings = (): cluster.Rings => ({ forced: ring(), ended: ring(), other: ring() });

function state(pending?: Partial<cluster.PendingParameters>): ClusterState {
  return {
    id: id('1'),
    version: 1n,
    admin: id('2'),
    offeredAdmin: undefined,
    parameters,
    pending: pending && {
      parameters: { ...parameters, minimumStakeMist: 2_000n, slashers: [id('c')], treasury: id('d') },
      effectiveAtMs: 5_000n,
      treasuryAccepted: true,
      ...pending,
    },
    earlierUnlockMs: 0n,
    termsVersion: 1n,
    servers: [],
    caHashes: [],
    gateways: [],
    nodes: { id: id('3'), size: 0n },
    changeSeq: 0n,
    nodeRings: rings(),
    accountRings: rings(),
  };
}

describe('the parameters in force', () => {
  test('the pending ones count from their hour on, inclusive', () => {
    const announced = state({});
    expect(parametersAt(announced, 4_999).minimumStakeMist).toBe(1_000n);
    expect(parametersAt(announced, 5_000)).toMatchObject({ minimumStakeMist: 2_000n, treasury: id('d') });
  });

  test('a treasury that has not accepted does not replace the old one', () => {
    expect(parametersAt(state({ treasuryAccepted: false }), 5_000).treasury).toBe(id('b'));
  });

  test('no change counts before everybody is out who unbonds under earlier parameters', () => {
    const settled = { ...state(), earlierUnlockMs: 7_000n };
    expect(earlierUnlockMs(settled, 8_000)).toBe(7_000n);
    expect(earlierUnlockMs({ ...state({}), earlierUnlockMs: 7_000n }, 4_999)).toBe(7_000n);
    // In force at 5 000, though nobody has called anything yet; 60 000 was the unbonding time before.
    expect(earlierUnlockMs({ ...state({}), earlierUnlockMs: 3_000n }, 5_000)).toBe(65_000n);
  });

  test('slashers and parameters of the facts are those in force, and what pends is told until it is', () => {
    const before = clusterFacts(state({}), 7n, 4_999);
    expect(before).toMatchObject({
      slashers: [id('a')],
      pending: { effectiveAtMs: 5_000, parameters: { minimumWorkerStakeMist: 2_000n } },
      parameters: { tiersMist: [100n, 1_000n, 10_000n], slashThreshold: 1 },
    });
    const after = clusterFacts(state({}), 7n, 5_000);
    expect(after).toMatchObject({ slashers: [id('c')], parameters: { minimumWorkerStakeMist: 2_000n } });
    expect(after.pending).toBeUndefined();
  });
});

test.each([
  [99n, []],
  [100n, ['pods:read']],
  [999n, ['pods:read']],
  [1_000n, ['pods:read', 'nodes:write']],
  [9_999n, ['pods:read', 'nodes:write']],
  [10_000n, ['pods:read', 'nodes:write', '*:*']],
])('a stake of %s MIST has the permissions %j', (stakeMist, permissions) => {
  expect(permissionsOf(parameters, stakeMist)).toEqual(permissions);
});

test('a cluster survives BCS with rings, gateways and a pending change', () => {
  const full: ClusterState = {
    ...state({}),
    offeredAdmin: { to: id('9'), expiresAtMs: 1n },
    changeSeq: 300n,
    nodeRings: { ...rings(), forced: ring({ record: id('e'), sequence: 300n }) },
    servers: ['https://server.example:6443'],
    caHashes: [new Uint8Array(32).fill(9)],
    gateways: [
      {
        id: id('f'),
        endpoint: 'https://gateway.example:8443',
        tlsPins: [new Uint8Array(32).fill(7)],
        attestationKind: 'none',
        attestationMeasurement: new Uint8Array(),
        signingKey: new Uint8Array(32).fill(1),
        tier: 2,
        status: 1,
        attestation: { enclaveKey: new Uint8Array(32), attestedAtMs: 1n, expiresAtMs: 2n },
      },
    ],
  };
  const decoded = decodeCluster(cluster.Cluster.serialize(full).toBytes());
  expect(decoded).toEqual(full);
  expect(clusterFacts(decoded, 1n, 0).gateways[0]).toMatchObject({ tier: 'premium', isLive: false });
});

test('the six rings are followed as two, each record once and at its last change', () => {
  const entry = (digit: string, sequence: bigint) => ({ record: id(digit), sequence });
  const facts = clusterFacts(
    {
      ...state(),
      nodeRings: {
        forced: ring(entry('a', 2n), entry('b', 9n)),
        ended: { entries: [entry('b', 5n), entry('c', 7n)], droppedSeq: 4n },
        other: ring(entry('a', 1n)),
      },
      accountRings: {
        forced: ring(entry('d', 6n)),
        ended: ring(entry('e', 3n)),
        other: { entries: [entry('d', 8n)], droppedSeq: 1n },
      },
    },
    1n,
    0,
  );
  expect(facts.criticalRing).toEqual([
    entry('a', 2n),
    entry('e', 3n),
    entry('d', 6n),
    entry('c', 7n),
    entry('b', 9n),
  ]);
  expect(facts.forcedRing).toEqual([entry('a', 2n), entry('d', 6n), entry('b', 9n)]);
  expect(facts.otherRing).toEqual([entry('a', 1n), entry('d', 8n)]);
  // What falls out of a ring of accounts concerns no node.
  expect(facts).toMatchObject({ droppedCritical: 4n, droppedOther: 0n });
});

test('a record is read with its numbers as names', () => {
  const content = staking.StakeRecord.serialize({
    id: id('1'),
    cluster: id('2'),
    staker: id('3'),
    nodeId: 'worker-1',
    stakeType: 'node',
    balance: 5_000n,
    status: 2,
    stakedAtMs: 10n,
    minimumWhenStakedMist: 1_000n,
    unlockAtMs: 20n,
    holdUntilMs: 25n,
    slashedAmount: 1n,
    slashReason: 'away\r',
    token: undefined,
    tokenSequence: 3n,
    openProposals: [
      { proposal: id('4'), proposer: id('5'), hasProposersVote: true, seconders: [], expiresAtMs: 9n },
    ],
    lastSequence: 7n,
  }).toBytes();
  expect(recordFacts(content)).toMatchObject({
    nodeId: 'worker-1',
    stakeMist: 5_000n,
    status: 'slashed',
    slashedMist: 1n,
    slashReason: 'away\\u{d}',
    token: undefined,
    openProposals: 1n,
    proposals: [{ id: id('4'), proposer: id('5'), voters: [id('5')], expiresAtMs: 9 }],
  });
});

test('a reason cannot move the cursor of a terminal, break a line or turn the direction of the text', () => {
  const content = slashing.SlashProposal.serialize({
    id: id('1'),
    cluster: id('2'),
    record: id('3'),
    proposer: id('4'),
    amountMist: 5n,
    reason: 'für 3 €\n\u001b[2Atakes  0 SUI\u009b\u202e\u2028',
    evidence: new Uint8Array(32),
    answer: new Uint8Array(),
    votes: [id('4')],
    electorate: [id('4')],
    thresholdAtOpening: 1n,
    status: 0,
    openedAtMs: 0n,
    executableAtMs: 0n,
    expiresAtMs: 1n,
  }).toBytes();
  expect(proposalFacts(content).reason).toBe('für 3 €\\u{a}\\u{1b}[2Atakes  0 SUI\\u{9b}\\u{202e}\\u{2028}');
});

test('a number that no version of the contracts knows is not guessed at', () => {
  const token = {
    id: id('1'),
    tokenHash: 'seal_x',
    owner: id('2'),
    cluster: id('3'),
    stakeId: id('4'),
    nodeId: 'n',
    holderKey: new Uint8Array(32),
    stakeAmount: 1n,
    permissions: ['nodes:write'],
    issuedEpoch: 0n,
    expiresAt: 1n,
    gatewayTier: 3,
    sequence: 1n,
  };
  expect(() => tokenFacts(k8sGateway.SealToken.serialize(token).toBytes())).toThrow('unknown number 3');
});
