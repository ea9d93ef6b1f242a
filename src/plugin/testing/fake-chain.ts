import { createHash } from 'node:crypto';
import { type Clock, DaasError } from '#base';
import type { ChainPoint, Cluster, ClusterParameters, GatewayEntry, SealToken, StakeRecord } from '#domain';
import type { ChainReceipt, SimulatedCost, StakeChain } from '#plugin';

/** `0x` and 64 hex digits, the same for the same name. */
export function fakeId(name: string): string {
  return `0x${createHash('sha256').update(name).digest('hex')}`;
}

export const fakeParameters: ClusterParameters = {
  minimumWorkerStakeMist: 1_000n,
  minimumTopUpMist: 100n,
  tiersMist: [100n, 1_000n, 10_000n],
  unbondingMs: 86_400_000,
  longestTokenLifeEpochs: 30n,
  slashThreshold: 1,
  proposalLifeMs: 3_600_000,
  treasury: fakeId('treasury'),
};

export function fakeGatewayEntry(name: string, changes: Partial<GatewayEntry> = {}): GatewayEntry {
  return {
    id: fakeId(name),
    url: `https://${name}.example.com:8443`,
    tlsPins: [new Uint8Array(32).fill(7)],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(32).fill(1),
    tier: 'basic',
    isLive: true,
    ...changes,
  };
}

type WriteKind = 'stake_for_node' | 'create_worker_seal_token';

/**
 * A chain in memory with the contracts' rules as far as a worker meets them. What is sent is counted, failures are
 * injected: `isAway` for reads and writes, `dieAfter` for a process that is killed between a transaction's execution and
 * its reply.
 */
export class FakeStakeChain implements StakeChain {
  readonly wallet: string;
  readonly clusterId: string;
  readonly recordsById = new Map<string, StakeRecord>();
  readonly tokensById = new Map<string, SealToken>();
  readonly sent: WriteKind[] = [];
  gateways: GatewayEntry[] = [fakeGatewayEntry('gateway')];
  parameters: ClusterParameters = fakeParameters;
  criticalRecords: string[] = [];
  balanceMist = 1_000_000n;
  epoch = 10n;
  isAway = false;
  dieAfter: WriteKind | undefined;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #pending: ChainReceipt | undefined;
  #count = 0;

  constructor(clock: Pick<Clock, 'nowMs'>, wallet = fakeId('wallet')) {
    this.#clock = clock;
    this.wallet = wallet;
    this.clusterId = fakeId('cluster');
  }

  async cluster(): Promise<Cluster> {
    this.#expectReachable();
    return {
      id: this.clusterId,
      version: BigInt(this.#count),
      admin: fakeId('admin'),
      slashers: [fakeId('slasher')],
      parameters: this.parameters,
      pending: undefined,
      gateways: this.gateways,
      changeSequence: BigInt(this.#count),
      criticalRing: this.criticalRecords.map((record, index) => ({ record, sequence: BigInt(index + 1) })),
      otherRing: [],
      droppedCritical: 0n,
      droppedOther: 0n,
      recordsTable: fakeId('table'),
    };
  }

  async records(ids: readonly string[]): Promise<Map<string, StakeRecord | undefined>> {
    this.#expectReachable();
    return new Map(ids.map((id) => [id, this.recordsById.get(id)]));
  }

  async tokens(ids: readonly string[]): Promise<Map<string, SealToken | undefined>> {
    this.#expectReachable();
    return new Map(ids.map((id) => [id, this.tokensById.get(id)]));
  }

  async liveRecordOf(nodeId: string): Promise<string | undefined> {
    this.#expectReachable();
    return this.recordsById.values().find((record) => record.nodeId === nodeId && record.status === 'active')
      ?.id;
  }

  async point(): Promise<ChainPoint> {
    this.#expectReachable();
    return { epoch: this.epoch, timestampMs: this.#clock.nowMs() };
  }

  async stakeForNode(request: { nodeId: string; stakeMist: bigint }): Promise<ChainReceipt> {
    this.#expectReachable();
    if (await this.liveRecordOf(request.nodeId))
      throw new DaasError('DAAS_NODE_ID_TAKEN', `the node id '${request.nodeId}' has a live record`);
    if (this.balanceMist < request.stakeMist)
      throw new DaasError('DAAS_BALANCE_TOO_LOW', `the wallet holds ${this.balanceMist} MIST`);
    this.balanceMist -= request.stakeMist;
    const id = this.addRecord(request);
    return this.#executed('stake_for_node', id);
  }

  async createWorkerSealToken(request: { recordId: string; holderKey: Uint8Array }): Promise<ChainReceipt> {
    this.#expectReachable();
    const record = this.recordsById.get(request.recordId);
    if (record?.status !== 'active' || record.token !== undefined)
      throw new DaasError('DAAS_CHAIN_ABORT', `no token can be made of ${request.recordId}`);
    return this.#executed('create_worker_seal_token', this.addToken(request.recordId, request.holderKey));
  }

  async simulateStake(request: { nodeId: string; stakeMist: bigint }): Promise<SimulatedCost> {
    this.#expectReachable();
    if (this.balanceMist < request.stakeMist)
      throw new DaasError('DAAS_BALANCE_TOO_LOW', `the wallet holds ${this.balanceMist} MIST`);
    return { gasBudgetMist: 1_000n };
  }

  async simulateSealToken(): Promise<SimulatedCost> {
    this.#expectReachable();
    return { gasBudgetMist: 1_000n };
  }

  async settlePending(): Promise<ChainReceipt | undefined> {
    this.#expectReachable();
    const settled = this.#pending;
    this.#pending = undefined;
    return settled;
  }

  /** Puts a record there without a transaction of this wallet. */
  addRecord(record: Partial<StakeRecord> & { nodeId: string; stakeMist: bigint }): string {
    this.#count += 1;
    const id = fakeId(`record ${this.#count} ${this.clusterId}`);
    this.recordsById.set(id, {
      id,
      cluster: this.clusterId,
      staker: this.wallet,
      stakeType: 'node',
      status: 'active',
      stakedAtMs: this.#clock.nowMs(),
      unlockAtMs: 0,
      slashedMist: 0n,
      slashReason: '',
      token: undefined,
      tokenSequence: 0n,
      openProposals: 0n,
      ...record,
    });
    return id;
  }

  addToken(recordId: string, holderKey: Uint8Array, changes: Partial<SealToken> = {}): string {
    const record = this.expectRecord(recordId);
    this.#count += 1;
    const id = fakeId(`token ${this.#count}`);
    const sequence = record.tokenSequence + 1n;
    this.tokensById.set(id, {
      id,
      tokenHash: `seal_${id.slice(2, 34)}`,
      owner: record.staker,
      cluster: this.clusterId,
      stakeId: recordId,
      nodeId: record.nodeId,
      holderKey,
      stakeMist: record.stakeMist,
      permissions: ['pods:read', 'nodes:write'],
      issuedEpoch: this.epoch,
      expiresAtEpoch: this.epoch + 30n,
      gatewayTier: 'standard',
      sequence,
      ...changes,
    });
    this.changeRecord(recordId, { token: id, tokenSequence: sequence });
    return id;
  }

  changeRecord(recordId: string, changes: Partial<StakeRecord>): void {
    this.recordsById.set(recordId, { ...this.expectRecord(recordId), ...changes });
    if (changes.status && changes.status !== 'active') this.criticalRecords.push(recordId);
  }

  slash(recordId: string): void {
    const { stakeMist } = this.expectRecord(recordId);
    this.changeRecord(recordId, {
      status: 'slashed',
      slashedMist: stakeMist,
      stakeMist: 0n,
      slashReason: 'test',
    });
  }

  expectRecord(recordId: string): StakeRecord {
    const record = this.recordsById.get(recordId);
    if (!record) throw new Error(`no record ${recordId} in this test`);
    return record;
  }

  #executed(kind: WriteKind, objectId: string): ChainReceipt {
    this.sent.push(kind);
    const receipt: ChainReceipt = { digest: `digest-${this.sent.length}`, objectId };
    if (this.dieAfter !== kind) return receipt;
    this.dieAfter = undefined;
    this.#pending = receipt;
    throw new Error('killed');
  }

  #expectReachable(): void {
    if (this.isAway)
      throw new DaasError('DAAS_CHAIN_UNAVAILABLE', 'no endpoint of the chain answers', {
        isRetryable: true,
      });
  }
}
