import {
  type ChainReceipt,
  ConfigurationError,
  formatSui,
  type HostControl,
  type Scope,
  type SealedStake,
  type SealTokenSource,
  type StakePreview,
  type StakeRecord,
  stakeEnding,
} from 'k3s-daas/plugin';
import type { StakingConfig } from './config.ts';
import { endedError } from './judge.ts';
import { Standing, type StandingServices } from './standing.ts';

export interface StakingServices extends StandingServices {
  readonly control: HostControl;
}

/**
 * The stake of this node. Every step asks the chain what stands before it sends anything, and `StakeChain` journals what is
 * sent: killed at any moment, it continues where it was.
 */
export class NodeStake implements SealTokenSource {
  readonly #scope: Scope<StakingConfig>;
  readonly #services: StakingServices;
  readonly #standing: Standing;
  /** Records with an event: a stake that was just created is not also announced as found. */
  readonly #announced = new Set<string>();

  constructor(scope: Scope<StakingConfig>, services: StakingServices) {
    this.#scope = scope;
    this.#services = services;
    this.#standing = new Standing(services, scope.config);
  }

  async find(signal: AbortSignal): Promise<SealedStake | undefined> {
    const record = await this.#standing.liveRecord(signal);
    if (!record) {
      await this.#refuseEnded(signal);
      return undefined;
    }
    if (record.token === undefined) return undefined;
    await this.#standing.checkToken(record.token, signal);
    return { recordId: record.id, tokenId: record.token, stakeMist: record.stakeMist };
  }

  async obtain(onPhase: (phase: 'stake' | 'seal') => void, signal: AbortSignal): Promise<SealedStake> {
    onPhase('stake');
    const settled = await this.#services.chain.settlePending(signal);
    const record = (await this.#standing.liveRecord(signal)) ?? (await this.#makeRecord(signal));
    if (settled?.objectId === record.id) this.#announceCreated(record, settled.digest);
    else this.#announceFound(record);
    await this.#standing.remember(record.id);

    onPhase('seal');
    const tokenId = await this.#obtainToken(record, settled, signal);
    return { recordId: record.id, tokenId, stakeMist: record.stakeMist };
  }

  async preview(signal: AbortSignal): Promise<StakePreview> {
    const record = await this.#standing.liveRecord(signal);
    const plan = record ? this.#planWithRecord(record, signal) : this.#planWithoutRecord(signal);
    return { plan: await plan };
  }

  async #planWithRecord(record: StakeRecord, signal: AbortSignal): Promise<string> {
    const stands = `record ${record.id} stands (${record.status}) with ${formatSui(record.stakeMist)}`;
    if (record.token !== undefined) {
      await this.#standing.checkToken(record.token, signal);
      return `${stands} and token ${record.token}`;
    }
    const { chain, identity } = this.#services;
    const request = { recordId: record.id, holderKey: identity.holderKey };
    const { gasBudgetMist } = await chain.simulateSealToken(request, signal);
    return `${stands}; would mint its Seal token (gas at most ${formatSui(gasBudgetMist)})`;
  }

  async #planWithoutRecord(signal: AbortSignal): Promise<string> {
    await this.#refuseEnded(signal);
    const { chain, identity } = this.#services;
    const stakeMist = this.#expectAmount();
    const { gasBudgetMist } = await chain.simulateStake({ nodeId: identity.nodeId, stakeMist }, signal);
    const { minimumWorkerStakeMist } = (await chain.cluster(signal)).parameters;
    return (
      `would stake ${formatSui(stakeMist)} (minimum of the cluster: ${formatSui(minimumWorkerStakeMist)}; ` +
      `gas at most ${formatSui(gasBudgetMist)}) and mint a Seal token`
    );
  }

  async #makeRecord(signal: AbortSignal): Promise<StakeRecord> {
    await this.#refuseEnded(signal);
    const { chain, identity } = this.#services;
    const { nodeId } = identity;
    const stakeMist = this.#expectAmount();
    this.#scope.log.info('Staking', { nodeId, stakeMist });
    const { objectId, digest } = await chain.stakeForNode({ nodeId, stakeMist }, signal);
    // Remembered before anything can fail: a machine that lost this would have to find it on chain.
    await this.#standing.remember(objectId);
    this.#announceCreated({ id: objectId, stakeMist }, digest);
    return this.#standing.recordOf(objectId, signal);
  }

  #expectAmount(): bigint {
    const { stakeMist } = this.#scope.config;
    if (stakeMist !== undefined) return stakeMist;
    throw new ConfigurationError(
      'DAAS_STAKE_AMOUNT_MISSING',
      `nothing is staked for node '${this.#services.identity.nodeId}' and no amount is configured: set stakeMist of this plugin (stake.amountMist), or stake with \`k3s-daas stake\``,
    );
  }

  /** Never makes a second record for the same node and wallet unasked: a slashed worker would pay again at every restart. */
  async #refuseEnded(signal: AbortSignal): Promise<void> {
    if (this.#scope.config.stakeAgain) return;
    const ended = await this.#standing.endedRecord(signal);
    if (!ended) return;
    const ending = stakeEnding(ended, false);
    if (ending) this.#services.control.stop({ ...ending, source: 'chain' });
    throw endedError(ended);
  }

  async #obtainToken(
    record: StakeRecord,
    settled: ChainReceipt | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const { chain, identity } = this.#services;
    const { emit } = this.#scope;
    const { id: recordId, token } = record;
    if (token !== undefined) {
      await this.#standing.checkToken(token, signal);
      if (settled?.objectId === token)
        emit('seal.minted', { tokenId: token, recordId, digest: settled.digest });
      else emit('seal.found', { tokenId: token, recordId });
      return token;
    }
    const request = { recordId, holderKey: identity.holderKey };
    const { objectId, digest } = await chain.createWorkerSealToken(request, signal);
    emit('seal.minted', { tokenId: objectId, recordId, digest });
    return objectId;
  }

  #announceCreated({ id, stakeMist }: Pick<StakeRecord, 'id' | 'stakeMist'>, digest: string): void {
    this.#announced.add(id);
    this.#scope.emit('stake.created', { recordId: id, digest, stakeMist });
  }

  #announceFound({ id, stakeMist }: StakeRecord): void {
    if (this.#announced.has(id)) return;
    this.#announced.add(id);
    this.#scope.emit('stake.found', { recordId: id, stakeMist });
  }
}
