import type { StakeStatus, StakeType } from '#domain';
import type { ChainFacts } from './verdict.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;

/** What differs from a good stake. `token`, `record` and `liveToken` take the thing away when they are there and undefined. */
interface Spoil {
  readonly holderKey?: Uint8Array;
  readonly token?: undefined;
  readonly record?: undefined;
  readonly tokenCluster?: string;
  readonly recordCluster?: string;
  readonly stakeId?: string;
  readonly tokenNodeId?: string;
  readonly recordNodeId?: string;
  readonly stakeType?: StakeType;
  readonly owner?: string;
  readonly status?: StakeStatus;
  readonly liveToken?: string | undefined;
  readonly epoch?: bigint;
  readonly stakeMist?: bigint;
  readonly slashedMist?: bigint;
  readonly permissions?: readonly string[];
}

/** Facts of a good stake of `worker-1`, each of which a test may spoil. */
export function chainFacts(spoil: Spoil = {}): ChainFacts {
  return {
    token: 'token' in spoil ? undefined : tokenFacts(spoil),
    record: 'record' in spoil ? undefined : recordFacts(spoil),
    cluster: clusterFacts(),
    point: { epoch: spoil.epoch ?? 1n, timestampMs: 0 },
  };
}

const tokenFacts = (spoil: Spoil): ChainFacts['token'] => ({
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
});

const recordFacts = (spoil: Spoil): ChainFacts['record'] => ({
  id: id('b'),
  cluster: spoil.recordCluster ?? id('c'),
  staker: id('1'),
  nodeId: spoil.recordNodeId ?? 'worker-1',
  stakeType: spoil.stakeType ?? 'node',
  stakeMist: spoil.stakeMist ?? 1000n,
  status: spoil.status ?? 'active',
  stakedAtMs: 0,
  unlockAtMs: 0,
  slashedMist: spoil.slashedMist ?? 0n,
  slashReason: '',
  token: 'liveToken' in spoil ? spoil.liveToken : id('a'),
  tokenSequence: 1n,
  openProposals: 0n,
  proposals: [],
  holdUntilMs: 0,
  minimumWhenStakedMist: 1n,
  lastSequence: 1n,
});

const clusterFacts = (): ChainFacts['cluster'] => ({
  id: id('c'),
  version: 1n,
  admin: id('2'),
  slashers: [],
  parameters: {
    minimumWorkerStakeMist: 1000n,
    minimumTopUpMist: 1n,
    tiersMist: [100n, 1000n, 10_000n],
    tierPermissions: [['pods:read', 'services:read'], ['nodes:write', 'pods:write'], ['*:*']],
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
  forcedRing: [],
  otherRing: [],
  droppedCritical: 0n,
  droppedOther: 0n,
  recordsTable: id('4'),
});
