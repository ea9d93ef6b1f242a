import { type Clock, DaasError } from '#base';
import type { StakeRecord } from '#domain';
import type { ChainReceipt, ProposedSlash, SimulatedCost, StakeChain, StakeTerms } from '#plugin';
import { FakeChain, fakeId } from '#testing';

type WriteKind =
  | 'stake_for_node'
  | 'create_worker_seal_token'
  | 'join'
  | 'rotate_seal_token'
  | 'top_up'
  | 'revoke_seal_token'
  | 'request_unstake'
  | 'withdraw';

/**
 * The fake chain with a wallet, and the contracts' rules as far as a worker meets them. What is sent is counted, failures are
 * injected: `isDown` for reads and writes, `dieAfter` for a process that is killed between a transaction's execution and
 * its reply.
 */
export class FakeStakeChain extends FakeChain implements StakeChain {
  readonly sent: WriteKind[] = [];
  balanceMist = 1_000_000n;
  dieAfter: WriteKind | undefined;
  readonly slashProposals = new Map<string, ProposedSlash>();
  #pending: ChainReceipt | undefined;

  constructor(clock: Pick<Clock, 'nowMs'>, wallet = fakeId('wallet')) {
    super({ clock, staker: wallet });
  }

  get wallet(): string {
    return this.staker;
  }

  async join(request: StakeTerms & { readonly holderKey: Uint8Array }): Promise<ChainReceipt> {
    this.expectUp();
    const live = await this.liveRecordOf(request.nodeId);
    if (live && this.expectRecord(live).staker === this.wallet) return { digest: 'digest-0', objectId: live };
    const recordId = await this.#stake(request);
    return this.#executed('join', recordId, this.addToken(recordId, request.holderKey));
  }

  async stakeForNode(request: StakeTerms): Promise<ChainReceipt> {
    return this.#executed('stake_for_node', await this.#stake(request));
  }

  async #stake({ nodeId, stakeMist, termsVersion = this.termsVersion }: StakeTerms): Promise<string> {
    this.expectUp();
    if (termsVersion !== this.termsVersion)
      throw new DaasError('DAAS_TERMS_NOT_ACCEPTED', 'the terms have changed', { exitCode: 78 });
    if (await this.liveRecordOf(nodeId))
      throw new DaasError('DAAS_NODE_ID_TAKEN', `the node id '${nodeId}' has a live record`);
    if (this.balanceMist < stakeMist)
      throw new DaasError('DAAS_BALANCE_TOO_LOW', `the wallet holds ${this.balanceMist} MIST`);
    this.balanceMist -= stakeMist;
    return this.addRecord({ nodeId, stakeMist });
  }

  async createWorkerSealToken(request: { recordId: string; holderKey: Uint8Array }): Promise<ChainReceipt> {
    this.expectUp();
    const record = this.stakeRecords.get(request.recordId);
    if (record?.status !== 'active' || record.token !== undefined)
      throw new DaasError('DAAS_CHAIN_ABORT', `no token can be made of ${request.recordId}`);
    return this.#executed('create_worker_seal_token', this.addToken(request.recordId, request.holderKey));
  }

  async rotateSealToken(request: {
    recordId: string;
    tokenId: string;
    holderKey: Uint8Array;
  }): Promise<ChainReceipt> {
    const { token } = this.#expectActive(request.recordId);
    const current = token === undefined ? undefined : this.sealTokens.get(token);
    if (token !== request.tokenId) {
      const isDone = current && Buffer.from(current.holderKey).equals(request.holderKey);
      if (isDone) return { digest: 'digest-0', objectId: current.id };
      throw new DaasError('DAAS_TOKEN_REPLACED', `the record names ${token}`, { exitCode: 78 });
    }
    this.sealTokens.delete(token);
    return this.#executed('rotate_seal_token', this.addToken(request.recordId, request.holderKey));
  }

  async topUp(request: {
    recordId: string;
    amountMist: bigint;
    paidInMist: bigint;
    termsVersion?: bigint | undefined;
  }): Promise<ChainReceipt> {
    const record = this.#expectActive(request.recordId);
    const { termsVersion = this.termsVersion, amountMist, paidInMist, recordId } = request;
    if (termsVersion !== this.termsVersion)
      throw new DaasError('DAAS_TERMS_NOT_ACCEPTED', 'the terms have changed', { exitCode: 78 });
    if (record.stakeMist + record.slashedMist !== paidInMist)
      throw new DaasError('DAAS_STAKE_CHANGED', 'something was paid in since', { exitCode: 75 });
    if (amountMist < this.parameters.minimumTopUpMist)
      throw new DaasError('DAAS_TOP_UP_TOO_LOW', `${amountMist} MIST are too little`, { exitCode: 78 });
    if (this.balanceMist < amountMist)
      throw new DaasError('DAAS_BALANCE_TOO_LOW', `the wallet holds ${this.balanceMist} MIST`);
    this.balanceMist -= amountMist;
    this.change(recordId, { stakeMist: record.stakeMist + amountMist }, { announce: false });
    return this.#executed('top_up', recordId, undefined, amountMist);
  }

  async revokeSealToken({ tokenId }: { recordId: string; tokenId: string }): Promise<ChainReceipt> {
    this.expectUp();
    this.revoke(tokenId);
    return this.#executed('revoke_seal_token', tokenId);
  }

  async requestUnstake({ recordId }: { recordId: string }): Promise<ChainReceipt> {
    const { token } = this.#expectActive(recordId);
    if (token !== undefined) this.sealTokens.delete(token);
    const { timestampMs } = await this.point();
    const unlockAtMs = timestampMs + this.parameters.unbondingMs;
    const holdUntilMs = unlockAtMs + this.parameters.unbondingMs / 4;
    this.change(recordId, { status: 'unbonding', token: undefined, unlockAtMs, holdUntilMs });
    return this.#executed('request_unstake', recordId);
  }

  async withdraw({ recordId }: { recordId: string }): Promise<ChainReceipt> {
    this.expectUp();
    const { status, unlockAtMs, stakeMist } = this.expectRecord(recordId);
    const { timestampMs } = await this.point();
    if (status === 'active')
      throw new DaasError('DAAS_STAKE_NOT_UNBONDING', 'the stake is active', { exitCode: 78 });
    if (timestampMs < unlockAtMs)
      throw new DaasError('DAAS_STAKE_LOCKED', `the stake is locked until ${unlockAtMs}`, { exitCode: 75 });
    this.balanceMist += stakeMist;
    this.change(recordId, { stakeMist: 0n, status: status === 'slashed' ? status : 'withdrawn' });
    return this.#executed('withdraw', recordId, undefined, stakeMist);
  }

  #expectActive(recordId: string): StakeRecord {
    this.expectUp();
    const record = this.expectRecord(recordId);
    if (record.status === 'active') return record;
    throw new DaasError('DAAS_STAKE_NOT_ACTIVE', `the stake is ${record.status}`, { exitCode: 78 });
  }

  async simulateStake(request: StakeTerms): Promise<SimulatedCost> {
    this.expectUp();
    if (this.balanceMist < request.stakeMist)
      throw new DaasError('DAAS_BALANCE_TOO_LOW', `the wallet holds ${this.balanceMist} MIST`);
    return { gasBudgetMist: 1_000n };
  }

  async simulateSealToken(): Promise<SimulatedCost> {
    this.expectUp();
    return { gasBudgetMist: 1_000n };
  }

  async coinsMist(): Promise<bigint> {
    this.expectUp();
    return this.balanceMist;
  }

  async slashProposal(id: string): Promise<ProposedSlash | undefined> {
    this.expectUp();
    return this.slashProposals.get(id);
  }

  async settlePending(): Promise<ChainReceipt | undefined> {
    this.expectUp();
    const settled = this.#pending;
    this.#pending = undefined;
    return settled;
  }

  #executed(kind: WriteKind, objectId: string, tokenId?: string, amountMist?: bigint): ChainReceipt {
    this.sent.push(kind);
    const digest = `digest-${this.sent.length}`;
    const receipt: ChainReceipt = {
      digest,
      objectId,
      ...(tokenId && { tokenId }),
      ...(amountMist !== undefined && { amountMist }),
    };
    if (this.dieAfter !== kind) return receipt;
    this.dieAfter = undefined;
    this.#pending = receipt;
    throw new Error('killed');
  }
}
