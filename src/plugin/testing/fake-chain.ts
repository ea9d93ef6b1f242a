import { type Clock, DaasError } from '#base';
import type { ChainReceipt, SimulatedCost, StakeChain } from '#plugin';
import { FakeChain, fakeId } from '#testing';

type WriteKind = 'stake_for_node' | 'create_worker_seal_token';

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

  async stakeForNode(request: { nodeId: string; stakeMist: bigint }): Promise<ChainReceipt> {
    this.expectUp();
    if (await this.liveRecordOf(request.nodeId))
      throw new DaasError('DAAS_NODE_ID_TAKEN', `the node id '${request.nodeId}' has a live record`);
    if (this.balanceMist < request.stakeMist)
      throw new DaasError('DAAS_BALANCE_TOO_LOW', `the wallet holds ${this.balanceMist} MIST`);
    this.balanceMist -= request.stakeMist;
    const id = this.addRecord(request);
    return this.#executed('stake_for_node', id);
  }

  async createWorkerSealToken(request: { recordId: string; holderKey: Uint8Array }): Promise<ChainReceipt> {
    this.expectUp();
    const record = this.stakeRecords.get(request.recordId);
    if (record?.status !== 'active' || record.token !== undefined)
      throw new DaasError('DAAS_CHAIN_ABORT', `no token can be made of ${request.recordId}`);
    return this.#executed('create_worker_seal_token', this.addToken(request.recordId, request.holderKey));
  }

  async simulateStake(request: { nodeId: string; stakeMist: bigint }): Promise<SimulatedCost> {
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

  #executed(kind: WriteKind, objectId: string): ChainReceipt {
    this.sent.push(kind);
    const receipt: ChainReceipt = { digest: `digest-${this.sent.length}`, objectId };
    if (this.dieAfter !== kind) return receipt;
    this.dieAfter = undefined;
    this.#pending = receipt;
    throw new Error('killed');
  }
}
