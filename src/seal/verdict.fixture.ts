import type { StakeStatus, StakeType } from '#domain';
import type { ChainFacts } from './verdict.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;

/** Facts of a good stake of `worker-1`, each of which a test may spoil. */
export function chainFacts(
  spoil: {
    holderKey?: Uint8Array;
    token?: undefined;
    record?: undefined;
    tokenCluster?: string;
    recordCluster?: string;
    stakeId?: string;
    tokenNodeId?: string;
    recordNodeId?: string;
    stakeType?: StakeType;
    owner?: string;
    status?: StakeStatus;
    liveToken?: string | undefined;
    epoch?: bigint;
    stakeMist?: bigint;
    permissions?: readonly string[];
  } = {},
): ChainFacts {
  return {
    token:
      'token' in spoil
        ? undefined
        : {
            id: id('a'),
            tokenHash: `seal_${'0'.repeat(32)}`,
            owner: spoil.owner ?? id('1'),
            cluster: spoil.tokenCluster ?? id('c'),
            stakeId: spoil.stakeId ?? id('b'),
            nodeId: spoil.tokenNodeId ?? 'worker-1',
            holderKey: spoil.holderKey ?? new Uint8Array(32),
            stakeMist: 1000n,
            permissions: spoil.permissions ?? ['pods:read', 'nodes:write'],
            issuedEpoch: 0n,
            expiresAtEpoch: 100n,
            gatewayTier: 'basic',
            sequence: 1n,
          },
    record:
      'record' in spoil
        ? undefined
        : {
            id: id('b'),
            cluster: spoil.recordCluster ?? id('c'),
            staker: id('1'),
            nodeId: spoil.recordNodeId ?? 'worker-1',
            stakeType: spoil.stakeType ?? 'node',
            stakeMist: spoil.stakeMist ?? 1000n,
            status: spoil.status ?? 'active',
            stakedAtMs: 0,
            unlockAtMs: 0,
            slashedMist: 0n,
            slashReason: '',
            token: 'liveToken' in spoil ? spoil.liveToken : id('a'),
            tokenSequence: 1n,
            openProposals: 0n,
            minimumWhenStakedMist: 1n,
            lastSequence: 1n,
          },
    cluster: {
      id: id('c'),
      version: 1n,
      admin: id('2'),
      slashers: [],
      parameters: {
        minimumWorkerStakeMist: 1000n,
        minimumTopUpMist: 1n,
        tiersMist: [100n, 1000n, 10_000n],
        unbondingMs: 1,
        longestTokenLifeEpochs: 100n,
        slashThreshold: 1,
        proposalLifeMs: 1,

        challengeMs: 0,
        treasury: id('3'),
      },
      pending: undefined,
      termsVersion: 1n,
      termsFingerprint: '',
      servers: [],
      caHashes: [],
      gateways: [],
      changeSequence: 1n,
      criticalRing: [],
      otherRing: [],
      droppedCritical: 0n,
      droppedOther: 0n,
      recordsTable: id('4'),
    },
    point: { epoch: spoil.epoch ?? 1n, timestampMs: 0 },
  };
}
