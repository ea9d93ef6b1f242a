import { createHash } from 'node:crypto';
import { type Clock, DaasError } from '#base';
import type {
  ChainPoint,
  ChainReader,
  ChangeFollower,
  Cluster,
  ClusterParameters,
  FollowerReport,
  GatewayEntry,
  SealToken,
  StakeRecord,
} from '#domain';

/** `0x` and 64 hex digits, the same for the same name. */
export function fakeId(name: string): string {
  return `0x${createHash('sha256').update(name).digest('hex')}`;
}

/** As long as a real one. */
function fakeFingerprint(termsVersion: bigint): string {
  return fakeId(`terms ${termsVersion}`).slice(2, 34);
}

export const fakeParameters: ClusterParameters = {
  minimumWorkerStakeMist: 1_000n,
  minimumTopUpMist: 100n,
  tiersMist: [100n, 1_000n, 10_000n],
  tierPermissions: [['pods:read', 'services:read'], ['nodes:write', 'pods:write'], ['*:*']],
  unbondingMs: 86_400_000,
  longestTokenLifeEpochs: 30n,
  slashThreshold: 1,
  proposalLifeMs: 3_600_000,
  challengeMs: 0,
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

interface Changes {
  readonly critical?: string[];
  readonly others?: string[];
  readonly isFullPassNeeded?: boolean;
}

export interface FakeChainOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly clusterId?: string;
  /** The owner of new stakes. */
  readonly staker?: string;
}

/**
 * A chain in memory: one cluster, stake records and Seal tokens. It keeps the promises of `ChainReader` and of the follower's
 * reports. Tests change it as transactions would, and make it fail: `isDown` for reads, `lagging` for an old view.
 */
export class FakeChain implements ChainReader, ChangeFollower {
  readonly clusterId: string;
  readonly staker: string;
  readonly stakeRecords = new Map<string, StakeRecord>();
  readonly sealTokens = new Map<string, SealToken>();
  epoch = 10n;
  /** Reads fail with `DAAS_CHAIN_UNAVAILABLE`. */
  isDown = false;
  /** Records are answered as they are here: a full node that lags. */
  lagging: ReadonlyMap<string, StakeRecord> | undefined;
  readonly asked = { cluster: 0, records: [] as string[][], tokens: [] as string[][], liveRecordOf: 0 };
  gateways: GatewayEntry[] = [fakeGatewayEntry('gateway')];
  parameters: ClusterParameters = fakeParameters;
  termsVersion = 1n;
  servers: string[] = [];
  caHashes: Uint8Array[] = [];
  /** Records in the ring of urgent changes, the oldest first. */
  criticalRecords: string[] = [];
  /** Of these, those that a slash or the admin has put there. */
  forcedRecords: string[] = [];
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #followers = new Set<(report: FollowerReport) => void>();
  #sequence = 0n;
  #count = 0;

  constructor({ clock, clusterId = fakeId('cluster'), staker = fakeId('wallet') }: FakeChainOptions) {
    this.#clock = clock;
    this.clusterId = clusterId;
    this.staker = staker;
  }

  async cluster(): Promise<Cluster> {
    this.asked.cluster += 1;
    this.expectUp();
    return this.#cluster();
  }

  async records(ids: readonly string[]): Promise<Map<string, StakeRecord | undefined>> {
    this.asked.records.push([...ids]);
    await nextTurn();
    this.expectUp();
    const source = this.lagging ?? this.stakeRecords;
    return new Map(ids.map((id) => [id, source.get(id)]));
  }

  async tokens(ids: readonly string[]): Promise<Map<string, SealToken | undefined>> {
    this.asked.tokens.push([...ids]);
    await nextTurn();
    this.expectUp();
    return new Map(ids.map((id) => [id, this.sealTokens.get(id)]));
  }

  async liveRecordOf(nodeId: string): Promise<string | undefined> {
    this.asked.liveRecordOf += 1;
    this.expectUp();
    return this.stakeRecords.values().find((record) => record.nodeId === nodeId && record.status === 'active')
      ?.id;
  }

  async point(): Promise<ChainPoint> {
    this.expectUp();
    return { epoch: this.epoch, timestampMs: this.#clock.nowMs() };
  }

  async *follow({ signal }: { signal: AbortSignal }): AsyncGenerator<FollowerReport> {
    // A new follower knows nothing: its first report asks for a full pass.
    const unseen: FollowerReport[] = this.isDown ? [] : [this.#reportOf({ isFullPassNeeded: true })];
    let wake: (() => void) | undefined;
    const take = (report: FollowerReport) => {
      unseen.push(report);
      wake?.();
    };
    this.#followers.add(take);
    signal.addEventListener('abort', () => wake?.());
    while (!signal.aborted) {
      const next = unseen.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    this.#followers.delete(take);
  }

  /** Stakes for a node and mints its token; `announce: false` leaves the rings silent. */
  stake(
    nodeId: string,
    holderKey: Uint8Array,
    options: { staker?: string; stakeMist?: bigint; cluster?: string; announce?: boolean } = {},
  ): { recordId: string; tokenId: string } {
    const { announce = true, stakeMist = 1_000n, ...changes } = options;
    const recordId = this.addRecord({ nodeId, stakeMist, ...changes });
    const tokenId = this.addToken(recordId, holderKey);
    if (announce) this.report({ others: [recordId] });
    return { recordId, tokenId };
  }

  /** Adds a record without a transaction of this wallet; tells no follower. */
  addRecord(record: Partial<StakeRecord> & { nodeId: string; stakeMist: bigint }): string {
    this.#count += 1;
    const id = fakeId(`record ${this.#count} of ${this.clusterId}`);
    this.stakeRecords.set(id, {
      id,
      cluster: this.clusterId,
      staker: this.staker,
      stakeType: 'node',
      status: 'active',
      stakedAtMs: this.#clock.nowMs(),
      minimumWhenStakedMist: this.parameters.minimumWorkerStakeMist,
      unlockAtMs: 0,
      slashedMist: 0n,
      slashReason: '',
      token: undefined,
      tokenSequence: 0n,
      openProposals: 0n,
      proposals: [],
      holdUntilMs: 0,
      lastSequence: BigInt(this.#count),
      writtenAtMs: this.#clock.nowMs(),
      ...record,
    });
    return id;
  }

  /** Mints a token for a record; tells no follower. */
  addToken(recordId: string, holderKey: Uint8Array, changes: Partial<SealToken> = {}): string {
    const record = this.expectRecord(recordId);
    this.#count += 1;
    const id = changes.id ?? fakeId(`token ${this.#count} of ${this.clusterId}`);
    const sequence = record.tokenSequence + 1n;
    this.sealTokens.set(id, {
      id,
      tokenHash: `seal_${id.slice(2, 34)}`,
      owner: record.staker,
      cluster: record.cluster,
      stakeId: recordId,
      nodeId: record.nodeId,
      holderKey,
      stakeMist: record.stakeMist,
      permissions: ['pods:read', 'services:read', 'nodes:write', 'pods:write'],
      issuedEpoch: this.epoch,
      expiresAtEpoch: this.epoch + this.parameters.longestTokenLifeEpochs,
      gatewayTier: 'basic',
      sequence,
      ...changes,
    });
    this.change(recordId, { token: id, tokenSequence: sequence }, { announce: false });
    return id;
  }

  /** Changes a record as a transaction would, and reports it in the ring of urgent changes. */
  change(recordId: string, changes: Partial<StakeRecord>, { announce = true } = {}): void {
    this.stakeRecords.set(recordId, {
      ...this.expectRecord(recordId),
      writtenAtMs: this.#clock.nowMs(),
      ...changes,
    });
    if (changes.status && changes.status !== 'active') this.criticalRecords.push(recordId);
    if (announce) this.report({ critical: [recordId] });
  }

  /** The cluster asks for a larger stake from now on. */
  requireStake(minimumWorkerStakeMist: bigint): void {
    this.parameters = { ...this.parameters, minimumWorkerStakeMist };
  }

  /** A slasher of the cluster opens a proposal against the record. */
  propose(recordId: string, expiresAtMs: number): void {
    const proposer = fakeId('slasher');
    const { proposals: earlier } = this.expectRecord(recordId);
    const id = fakeId(`proposal ${earlier.length + 1} against ${recordId}`);
    const proposals = [...earlier, { id, proposer, expiresAtMs, voters: [proposer] }];
    this.change(recordId, { proposals, openProposals: BigInt(proposals.length) }, { announce: false });
    this.report({ others: [recordId] });
  }

  /** The admin forces the record into unbonding. */
  forceUnstake(recordId: string): void {
    this.forcedRecords.push(recordId);
    this.change(recordId, { status: 'unbonding' });
  }

  slash(recordId: string): void {
    const { stakeMist } = this.expectRecord(recordId);
    this.change(recordId, {
      status: 'slashed',
      slashedMist: stakeMist,
      stakeMist: 0n,
      slashReason: 'test',
    });
  }

  revoke(tokenId: string): void {
    const token = this.sealTokens.get(tokenId);
    if (!token) throw new Error(`there is no token ${tokenId} in this test`);
    this.sealTokens.delete(tokenId);
    this.change(token.stakeId, { token: undefined });
  }

  /** Reports one reading of the cluster object to the followers. */
  report(changes: Changes = {}): void {
    this.#sequence += 1n;
    for (const take of this.#followers) take(this.#reportOf(changes));
  }

  /** Reports that the cluster object could not be read. */
  reportOutage(): void {
    for (const take of this.#followers) take({ kind: 'outage', error: unavailable(), failures: 1 });
  }

  expectRecord(recordId: string): StakeRecord {
    const record = this.stakeRecords.get(recordId);
    if (!record) throw new Error(`there is no record ${recordId} in this test`);
    return record;
  }

  protected expectUp(): void {
    if (this.isDown) throw unavailable();
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

  #lastCritical(record: string): bigint {
    return BigInt(this.criticalRecords.lastIndexOf(record) + 1);
  }

  #cluster(): Cluster {
    return {
      id: this.clusterId,
      version: this.#sequence,
      admin: fakeId('admin'),
      slashers: [fakeId('slasher')],
      parameters: this.parameters,
      pending: undefined,
      termsVersion: this.termsVersion,
      termsFingerprint: fakeFingerprint(this.termsVersion),
      servers: this.servers,
      caHashes: this.caHashes,
      gateways: this.gateways,
      changeSequence: this.#sequence,
      criticalRing: this.criticalRecords.map((record, index) => ({ record, sequence: BigInt(index + 1) })),
      forcedRing: this.forcedRecords.map((record) => ({ record, sequence: this.#lastCritical(record) })),
      otherRing: [],
      droppedCritical: 0n,
      droppedOther: 0n,
      recordsTable: fakeId('table'),
    };
  }
}

const unavailable = () =>
  new DaasError('DAAS_CHAIN_UNAVAILABLE', 'no endpoint of the chain answers', { isRetryable: true });

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
