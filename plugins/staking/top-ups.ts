import {
  type Cluster,
  errorFacts,
  errorFields,
  formatSui,
  messageOf,
  type Scope,
  type StakeChain,
  type StakeRecord,
} from 'k3s-daas/plugin';
import type { Allowance } from './allowance.ts';
import type { StakingConfig } from './config.ts';
import { judgeTerms } from './terms.ts';

/** Top-ups: what is needed, what a gateway's directive may spend, what the operator is told. */
export class TopUps {
  readonly #scope: Scope<StakingConfig>;
  readonly #chain: StakeChain;
  readonly #allowance: Allowance;
  #warnedOf: 'stake_below_minimum' | 'stake_will_be_low' | undefined;

  constructor(scope: Scope<StakingConfig>, { chain }: { readonly chain: StakeChain }, allowance: Allowance) {
    this.#scope = scope;
    this.#chain = chain;
    this.#allowance = allowance;
  }

  /**
   * Adds what is missing, as far as the operator allows: the chain says how much, a gateway that asks is not believed. Whether it
   * was added. Throws what may pass: the same top-up is tried again then, and charged once.
   */
  async ask(record: StakeRecord, signal: AbortSignal): Promise<boolean> {
    const cluster = await this.#chain.cluster(signal);
    this.warn(record, cluster);
    const missingMist = cluster.parameters.minimumWorkerStakeMist - record.stakeMist;
    if (missingMist <= 0n) return false;
    const { minimumTopUpMist } = cluster.parameters;
    const amountMist = atLeast(missingMist, minimumTopUpMist);
    const { config, log } = this.#scope;
    try {
      judgeTerms(cluster, { acceptTerms: config.acceptTerms, setting: 'stake.acceptTerms' });
      const paidInMist = record.stakeMist + record.slashedMist;
      const purpose = { recordId: record.id, amountMist, paidInMist };
      if (!(await this.#allowance.takeTopUp(purpose, config.directives.topUpMist))) return false;
      const { termsVersion } = cluster;
      const { digest } = await this.#chain.topUp({ ...purpose, termsVersion }, signal);
      log.info('The stake was topped up', { recordId: record.id, amountMist, digest });
      this.warn({ ...record, stakeMist: record.stakeMist + amountMist }, cluster);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (errorFacts(error).isRetryable) throw error;
      log.warn('The stake could not be topped up', { recordId: record.id, ...errorFields(error) });
      this.#raise('stake_below_minimum', `the stake could not be topped up: ${messageOf(error)}`);
      return false;
    }
  }

  /** Says while there is time that the stake is, or will be, too low. */
  warn({ stakeMist }: StakeRecord, { parameters, pending }: Cluster): void {
    const { minimumWorkerStakeMist } = parameters;
    const announcedMist = pending?.parameters.minimumWorkerStakeMist ?? 0n;
    if (stakeMist < minimumWorkerStakeMist)
      this.#raise(
        'stake_below_minimum',
        `the stake is ${formatSui(stakeMist)}, the minimum ${formatSui(minimumWorkerStakeMist)}`,
      );
    else if (pending && stakeMist < announcedMist)
      this.#raise(
        'stake_will_be_low',
        `the stake is ${formatSui(stakeMist)}; from ${new Date(pending.effectiveAtMs).toISOString()} on the minimum is ${formatSui(announcedMist)}`,
      );
    else this.#end();
  }

  #raise(kind: 'stake_below_minimum' | 'stake_will_be_low', summary: string): void {
    if (this.#warnedOf !== kind) this.#end();
    this.#warnedOf = kind;
    this.#scope.emit('attention.needed', {
      kind,
      severity: kind === 'stake_below_minimum' ? 'critical' : 'warning',
      summary,
      remedy:
        'top the stake up with `k3s-daas stake top-up`, or let the gateway ask for it: directives.topUpMist of the plugin staking',
    });
  }

  #end(): void {
    if (this.#warnedOf) this.#scope.emit('attention.ended', { kind: this.#warnedOf });
    this.#warnedOf = undefined;
  }
}

function atLeast(amountMist: bigint, leastMist: bigint): bigint {
  if (amountMist < leastMist) return leastMist;
  return amountMist;
}
