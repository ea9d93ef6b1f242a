import { type Clock, errorFields, gatewayErrorCode, type Scope } from 'k3s-daas/plugin';
import type { Allowance } from './allowance.ts';
import type { StakingConfig } from './config.ts';

/** What a gateway that hears one full node alone says to a stake whose last change is old. */
const proofTooOld = gatewayErrorCode('proof_too_old');
/** A gateway that pays for probes lets the node in meanwhile, at its own cost. */
const patienceMs = 60_000;

/**
 * A first admission that is refused because the proof of the stake is too old: a rotation writes the stake record anew. It costs
 * gas, and the gateway causes it, so it is bounded as directives of a gateway are; one in 30 days is allowed in any case.
 */
export class OldProof {
  readonly #scope: Scope<StakingConfig>;
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  /** By the monotonic clock; `undefined`: the last registration was not refused for this. */
  #refusedSinceMs: number | undefined;
  #isTold = false;

  constructor(scope: Scope<StakingConfig>, { clock }: { readonly clock: Clock }, allowance: Allowance) {
    this.#scope = scope;
    this.#clock = clock;
    this.#allowance = allowance;
  }

  /** After each registration; `code` of its refusal, if it was refused. */
  answered(code?: string): void {
    if (code === undefined) this.#endNotice();
    if (code !== proofTooOld) this.#refusedSinceMs = undefined;
    else this.#refusedSinceMs ??= this.#clock.monotonicMs();
  }

  /** Rotates, if a gateway has asked for that long enough and it is allowed. Returns the new token. */
  async replace(tokenId: string, rotate: () => Promise<string>): Promise<string | undefined> {
    const { rotation, directives } = this.#scope.config;
    const sinceMs = this.#refusedSinceMs;
    if (sinceMs === undefined || this.#clock.monotonicMs() - sinceMs < patienceMs) return undefined;
    this.#refusedSinceMs = undefined;
    const isAllowed =
      rotation.mode === 'automatic' &&
      (await this.#allowance.takeRotation(tokenId, Math.max(1, directives.rotations)));
    if (!isAllowed) return this.#say('and this host may rotate its Seal token no more');
    try {
      this.#scope.log.info('Rotating the Seal token, so that the gateway gets a new proof of the stake');
      return await rotate();
    } catch (error) {
      // The registration is tried on with the token that there is.
      this.#scope.log.warn('The Seal token could not be rotated', errorFields(error));
      return this.#say('and the Seal token could not be rotated');
    }
  }

  #say(why: string): undefined {
    this.#isTold = true;
    this.#scope.emit('attention.needed', {
      kind: 'rotation_asked',
      severity: 'warning',
      summary: `the gateway admits this node only with a new proof of its stake, ${why}`,
      remedy:
        'run `k3s-daas token rotate` with the wallet of the stake, or ask the operator of the cluster for a second endpoint (chain.endpoints)',
    });
  }

  /** A gateway has taken the node. */
  #endNotice(): void {
    if (this.#isTold) this.#scope.emit('attention.ended', { kind: 'rotation_asked' });
    this.#isTold = false;
  }
}
