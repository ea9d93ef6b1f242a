import {
  type ChainReceipt,
  type Cluster,
  ConfigurationError,
  errorFacts,
  formatSui,
  type Scope,
  type SealedStake,
  type SealTokenSource,
  type StakePreview,
  type StakeRecord,
  stakeEnding,
} from 'k3s-daas/plugin';
import type { StakingConfig } from './config.ts';
import { endedError, judgeAmount, notVisibleYet } from './judge.ts';
import { OldProof } from './old-proof.ts';
import type { StakingParts, StakingServices } from './parts.ts';
import { judgeTerms, termsOf } from './terms.ts';
import { rotateToken } from './token-keeper.ts';

/** How long a host whose stake has ended reads on chain what to say of it, before it ends. */
const longestLookMs = 2_000;

/**
 * The stake of this node. Every step asks the chain what stands before it sends anything, and `StakeChain` journals what is
 * sent: killed at any moment, it continues where it was.
 */
export class NodeStake implements SealTokenSource {
  readonly #scope: Scope<StakingConfig>;
  readonly #services: StakingServices;
  readonly #parts: StakingParts;
  readonly #oldProof: OldProof;
  /** Records with an event: a stake that was just created is not also announced as found. */
  readonly #announced = new Set<string>();

  constructor(scope: Scope<StakingConfig>, services: StakingServices, parts: StakingParts) {
    this.#scope = scope;
    this.#services = services;
    this.#parts = parts;
    this.#oldProof = new OldProof(scope, services, parts.allowance);
  }

  /** After each registration; `code` of its refusal, if it was refused. */
  answered(code?: string): void {
    this.#oldProof.answered(code);
  }

  async find(signal: AbortSignal): Promise<SealedStake | undefined> {
    const record = await this.#liveRecord(signal);
    if (!record) {
      await this.#refuseEnded(signal);
      return undefined;
    }
    if (record.token === undefined) return undefined;
    if ((await this.#parts.standing.checkToken(record.token, signal)) === 'rotate') return undefined;
    return { recordId: record.id, tokenId: record.token, stakeMist: record.stakeMist };
  }

  async obtain(onPhase: (phase: 'stake' | 'seal') => void, signal: AbortSignal): Promise<SealedStake> {
    onPhase('stake');
    const settled = await this.#services.chain.settlePending(signal);
    const existing = await this.#liveRecord(signal);
    const made = existing ? settled : await this.#makeStake(signal);
    const record = existing ?? (await this.#parts.standing.recordOf(made?.objectId ?? '', signal));
    if (settled?.objectId === record.id) this.#announceCreated(record, settled.digest);
    else this.#announceFound(record);
    await this.#parts.standing.remember(record.id);

    onPhase('seal');
    const tokenId = await this.#obtainToken(record, made, signal);
    return { recordId: record.id, tokenId, stakeMist: record.stakeMist };
  }

  /** A host that was away while the minimum was raised is asked by no gateway: it adds what is missing, as far as it may, and starts. */
  async #liveRecord(signal: AbortSignal): Promise<StakeRecord | undefined> {
    try {
      return await this.#parts.standing.liveRecord(signal);
    } catch (error) {
      const { code, details } = errorFacts(error);
      if (code !== 'DAAS_STAKE_TOO_LOW') throw error;
      const recordId = String(details.recordId);
      // An earlier life may have been killed over it.
      await this.#services.chain.settlePending(signal);
      const record = await this.#parts.standing.recordOf(recordId, signal);
      const isToppedUp = await this.#parts.topUps.ask(record, signal);
      if (
        isToppedUp &&
        (await this.#parts.standing.recordOf(recordId, signal)).stakeMist === record.stakeMist
      )
        throw notVisibleYet('top-up of the stake record', recordId);
      return this.#parts.standing.liveRecord(signal);
    }
  }

  async preview(signal: AbortSignal): Promise<StakePreview> {
    const record = await this.#parts.standing.liveRecord(signal);
    const plan = record ? this.#planWithRecord(record, signal) : this.#planWithoutRecord(signal);
    return { plan: await plan };
  }

  async #planWithRecord(record: StakeRecord, signal: AbortSignal): Promise<string> {
    const stands = `record ${record.id} stands (${record.status}) with ${formatSui(record.stakeMist)}`;
    if (record.token !== undefined) {
      const verdict = await this.#parts.standing.checkToken(record.token, signal);
      return `${stands} and token ${record.token}${verdict === 'rotate' ? ', which has expired; would rotate it' : ''}`;
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
    const cluster = await chain.cluster(signal);
    this.#judgeCluster(cluster, stakeMist);
    const { nodeId, holderKey } = identity;
    const { termsVersion } = cluster;
    const request = { nodeId, stakeMist, holderKey, termsVersion };
    const { gasBudgetMist } = await chain.simulateStake(request, signal);
    const { minimumWorkerStakeMist } = cluster.parameters;
    return (
      `would stake ${formatSui(stakeMist)} (minimum of the cluster: ${formatSui(minimumWorkerStakeMist)}; ` +
      `gas at most ${formatSui(gasBudgetMist)}) and mint a Seal token`
    );
  }

  /** Stakes and mints in one transaction, under terms that the operator has accepted. */
  async #makeStake(signal: AbortSignal): Promise<ChainReceipt> {
    await this.#refuseEnded(signal);
    const { chain, identity } = this.#services;
    const { nodeId, holderKey } = identity;
    const stakeMist = this.#expectAmount();
    const cluster = await chain.cluster(signal);
    this.#judgeCluster(cluster, stakeMist);
    await this.#parts.standing.rememberTerms(termsOf(cluster));
    this.#scope.log.info('Staking', { nodeId, stakeMist, termsFingerprint: cluster.termsFingerprint });
    const { termsVersion } = cluster;
    const receipt = await chain.join({ nodeId, stakeMist, holderKey, termsVersion }, signal);
    // Remembered before anything can fail: a machine that lost this would have to find it on chain.
    await this.#parts.standing.remember(receipt.objectId);
    this.#announceCreated({ id: receipt.objectId, stakeMist }, receipt.digest);
    return receipt;
  }

  /** Throws when the amount is too low for the cluster, or its terms are not those that the operator accepts. */
  #judgeCluster(cluster: Cluster, stakeMist: bigint): void {
    judgeAmount(stakeMist, { nodeId: this.#services.identity.nodeId, parameters: cluster.parameters });
    judgeTerms(cluster, {
      acceptTerms: this.#scope.config.acceptTerms,
      accepted: this.#parts.standing.acceptedTerms,
      setting: 'stake.acceptTerms',
    });
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
    const ended = await this.#parts.standing.endedRecord(signal);
    if (!ended) return;
    // The host ends now, and is started again with the machine: so it is said at each start.
    await this.#tellWithdrawable(ended, signal);
    const ending = stakeEnding(ended, false);
    if (ending) this.#services.control.stop({ ...ending, source: 'chain' });
    throw endedError(ended);
  }

  /** A silent chain must not hold the end of the host up: what can be withdrawn is said at the next start then. */
  async #tellWithdrawable(ended: StakeRecord, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const telling = this.#parts.withdrawals.tell([ended], either);
    await Promise.race([telling, this.#services.clock.sleep(longestLookMs, either)]).catch(() => undefined);
    done.abort();
  }

  async #obtainToken(
    record: StakeRecord,
    made: ChainReceipt | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const { chain, identity } = this.#services;
    const { emit } = this.#scope;
    const { id: recordId, token } = record;
    if (token !== undefined) {
      const rotate = () =>
        rotateToken(this.#scope, this.#services, { recordId, earlierTokenId: token }, signal);
      if ((await this.#parts.standing.checkToken(token, signal)) === 'rotate') return rotate();
      const replaced = await this.#oldProof.replace(token, rotate);
      if (replaced !== undefined) return replaced;
      const isMade = made?.objectId === token || made?.tokenId === token;
      if (made && isMade) emit('seal.minted', { tokenId: token, recordId, digest: made.digest });
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
