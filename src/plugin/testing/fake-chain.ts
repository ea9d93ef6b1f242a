import { type Clock, DaasError } from '#base';
import type { ChainReceipt, SimulatedCost, StakeChain, StakeTerms } from '#plugin';
import { FakeChain, fakeId } from '#testing';

type WriteKind = 'stake_for_node' | 'create_worker_seal_token' | 'join';

/**
 * The fake chain with a wallet, and the contracts' rules as far as a worker meets them. What is sent is counted, failures are
 * injected: `isDown` for reads and writes, `dieAfter` for a process that is killed between a transaction's execution and
 * its reply.
 */
export class FakeStakeChain extends FakeChain implements StakeChain {
  readonly sent: WriteKind[] = [];
  balanceMist = 1_000_000n;
  dieAfter: WriteKind | undefined;
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

  async settlePending(): Promise<ChainReceipt | undefined> {
    this.expectUp();
    const settled = this.#pending;
    this.#pending = undefined;
    return settled;
  }

  #executed(kind: WriteKind, objectId: string, tokenId?: string): ChainReceipt {
    this.sent.push(kind);
    const digest = `digest-${this.sent.length}`;
    const receipt: ChainReceipt = { digest, objectId, ...(tokenId && { tokenId }) };
    if (this.dieAfter !== kind) return receipt;
    this.dieAfter = undefined;
    this.#pending = receipt;
    throw new Error('killed');
  }
}
