import { DaasError } from '#base';
import type {
  ChainReader,
  ChangeFollower,
  Cluster,
  FollowerReport,
  GatewayEntry,
  SealToken,
  StakeRecord,
} from '#domain';

export const id = (digits: string) => `0x${digits.repeat(64).slice(0, 64)}`;
export const CLUSTER_ID = id('c1');
export const GATEWAY_ID = id('9a');
export const STAKER = id('51');

interface Changes {
  readonly critical?: string[];
  readonly others?: string[];
  readonly isFullPassNeeded?: boolean;
}

/** A chain in memory that keeps the promises of `ChainReader` and of the follower's reports. */
export class FakeChain implements ChainReader, ChangeFollower {
  readonly stakeRecords = new Map<string, StakeRecord>();
  readonly sealTokens = new Map<string, SealToken>();
  epoch = 10n;
  /** Reads fail, as with a node that is away. */
  isDown = false;
  /** Records are answered as they were when this was set: a node that lags. */
  lagging: Map<string, StakeRecord> | undefined;
  readonly asked = { cluster: 0, records: [] as string[][], tokens: [] as string[][], liveRecordOf: 0 };
  gateways: GatewayEntry[] = [];
  minimumWorkerStakeMist = 1_000n;
  #sequence = 0n;
  #serial = 0;
  readonly #followers = new Set<(report: FollowerReport) => void>();

  async cluster(): Promise<Cluster> {
    this.asked.cluster += 1;
    this.#mustBeUp();
    return this.#cluster();
  }
  async records(ids: readonly string[]) {
    this.asked.records.push([...ids]);
    await nextTurn();
    this.#mustBeUp();
    const source = this.lagging ?? this.stakeRecords;
    return new Map(ids.map((record) => [record, source.get(record)]));
  }
  async tokens(ids: readonly string[]) {
    this.asked.tokens.push([...ids]);
    await nextTurn();
    this.#mustBeUp();
    return new Map(ids.map((token) => [token, this.sealTokens.get(token)]));
  }
  async liveRecordOf(nodeId: string) {
    this.asked.liveRecordOf += 1;
    this.#mustBeUp();
    return [...this.stakeRecords.values()].find(
      (record) => record.nodeId === nodeId && record.status === 'active',
    )?.id;
  }
  async point() {
    this.#mustBeUp();
    return { epoch: this.epoch, timestampMs: 0 };
  }

  async *follow({ signal }: { signal: AbortSignal }): AsyncGenerator<FollowerReport> {
    // A new follower knows nothing: the first report asks for a full pass.
    const unseen: FollowerReport[] = this.isDown ? [] : [this.#reportOf({ isFullPassNeeded: true })];
    let wake: (() => void) | undefined;
    const hear = (report: FollowerReport) => {
      unseen.push(report);
      wake?.();
    };
    this.#followers.add(hear);
    signal.addEventListener('abort', () => wake?.());
    while (!signal.aborted) {
      const next = unseen.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    this.#followers.delete(hear);
  }

  /** Stakes for a node and mints its token; `announce: false` leaves the rings silent. */
  stake(
    nodeId: string,
    holderKey: Uint8Array,
    options: { staker?: string; stakeMist?: bigint; cluster?: string; announce?: boolean } = {},
  ): { recordId: string; tokenId: string } {
    this.#serial += 1;
    const recordId = id(`b${this.#serial.toString(16).padStart(3, '0')}`);
    const tokenId = id(`a${this.#serial.toString(16).padStart(3, '0')}`);
    const { staker = STAKER, stakeMist = 1_000n, cluster = CLUSTER_ID, announce = true } = options;
    this.stakeRecords.set(recordId, {
      id: recordId,
      cluster,
      staker,
      nodeId,
      stakeType: 'node',
      stakeMist,
      status: 'active',
      stakedAtMs: 1,
      unlockAtMs: 0,
      slashedMist: 0n,
      slashReason: '',
      token: tokenId,
      tokenSequence: 1n,
      openProposals: 0n,
    });
    this.sealTokens.set(tokenId, {
      id: tokenId,
      tokenHash: `seal_${'0123456789abcdef'.repeat(2)}`,
      owner: staker,
      cluster,
      stakeId: recordId,
      nodeId,
      holderKey,
      stakeMist,
      permissions: ['pods:read', 'services:read', 'nodes:write', 'pods:write'],
      issuedEpoch: this.epoch,
      expiresAtEpoch: this.epoch + 100n,
      gatewayTier: 'basic',
      sequence: 1n,
    });
    if (announce) this.report({ others: [recordId] });
    return { recordId, tokenId };
  }

  /** Changes a record as a transaction would, and announces it in the urgent ring. */
  change(recordId: string, change: Partial<StakeRecord>, { announce = true } = {}): void {
    const record = this.stakeRecords.get(recordId);
    if (!record) throw new Error(`there is no record ${recordId}`);
    this.stakeRecords.set(recordId, { ...record, ...change });
    if (announce) this.report({ critical: [recordId] });
  }

  revoke(tokenId: string): void {
    const token = this.sealTokens.get(tokenId);
    if (!token) throw new Error(`there is no token ${tokenId}`);
    this.sealTokens.delete(tokenId);
    this.change(token.stakeId, { token: undefined });
  }

  /** One reading of the cluster object. */
  report(report: Changes = {}): void {
    this.#sequence += 1n;
    for (const hear of this.#followers) hear(this.#reportOf(report));
  }

  /** The cluster object could not be read. */
  reportOutage(): void {
    const error = new DaasError('DAAS_CHAIN_UNAVAILABLE', 'the fake chain is down', { isRetryable: true });
    for (const hear of this.#followers) hear({ kind: 'outage', error, failures: 1 });
  }

  #reportOf({ critical = [], others = [], isFullPassNeeded = false }: Changes): FollowerReport {
    return {
      kind: 'changes',
      critical,
      others,
      isFullPassNeeded,
      sequence: this.#sequence,
      cluster: this.#cluster(),
    };
  }

  #mustBeUp(): void {
    if (this.isDown)
      throw new DaasError('DAAS_CHAIN_UNAVAILABLE', 'the fake chain is down', { isRetryable: true });
  }

  #cluster(): Cluster {
    return {
      id: CLUSTER_ID,
      version: this.#sequence,
      admin: id('ad'),
      slashers: [],
      parameters: {
        minimumWorkerStakeMist: this.minimumWorkerStakeMist,
        minimumTopUpMist: 1n,
        tiersMist: [100n, 1_000n, 10_000n],
        unbondingMs: 1,
        longestTokenLifeEpochs: 100n,
        slashThreshold: 1,
        proposalLifeMs: 1,
        treasury: id('7e'),
      },
      pending: undefined,
      gateways: this.gateways,
      changeSequence: this.#sequence,
      criticalRing: [],
      otherRing: [],
      droppedCritical: 0n,
      droppedOther: 0n,
      recordsTable: id('7a'),
    };
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
