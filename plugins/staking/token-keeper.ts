import {
  aborted,
  drawOf,
  errorFacts,
  errorFields,
  formatSui,
  type HostEvents,
  messageOf,
  type NodeIdentity,
  type Scope,
  type SealToken,
  type StakeChain,
  type StakeRecord,
  type WorkerRegistered,
} from 'k3s-daas/plugin';
import type { StakingConfig } from './config.ts';
import type { StakingParts, StakingServices } from './parts.ts';
import { epochsLeft, isRotationDue } from './rotation-due.ts';

/** A gateway repeats what it asks for with each heartbeat: the chain is read for it no more often than this. */
const shortestRestMs = 10_000;

type GatewayDirective = HostEvents['gateway.directive'];

/** What was read on chain about this node's stake. */
interface Reading {
  readonly record: StakeRecord;
  readonly token: SealToken;
  readonly epoch: bigint;
  readonly longestLifeEpochs: bigint;
}

/**
 * Keeps the Seal token of a registered node alive: looks at it again and again, rotates it in time, and follows what a
 * gateway asks for as far as the operator allows. Every step can be repeated after `kill -9`: the chain says which key the
 * token names, the key files say which keys there are.
 */
export class TokenKeeper {
  readonly #scope: Scope<StakingConfig>;
  readonly #services: StakingServices;
  readonly #parts: StakingParts;
  readonly #registered = Promise.withResolvers<void>();
  #current: WorkerRegistered | undefined;
  #asked: GatewayDirective | undefined;
  #wake: AbortController | undefined;
  #warned = false;
  #wasGasLow = false;

  constructor(scope: Scope<StakingConfig>, services: StakingServices, parts: StakingParts) {
    this.#scope = scope;
    this.#services = services;
    this.#parts = parts;
  }

  /** The gateway knows the key of this token: the earlier key is needed no longer. */
  async follow(registered: WorkerRegistered): Promise<void> {
    this.#current = registered;
    this.#registered.resolve();
    const { rotation, nodeId } = this.#services.identity;
    if (await rotation.complete(registered.sealTokenId))
      this.#scope.emit('node.key.changed', { nodeId, tokenId: registered.sealTokenId });
  }

  obey(directive: GatewayDirective): void {
    this.#asked = directive;
    this.#wake?.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#registered.promise, aborted(signal)]);
    const { checkMs } = this.#scope.config.rotation;
    // The hosts of a fleet that started together look again at different times.
    let delayMs = checkMs * drawOf(this.#services.identity.nodeId);
    while (!signal.aborted) {
      await this.#look(signal);
      await this.#rest(delayMs, signal);
      delayMs = checkMs;
    }
  }

  /** Ends early when a gateway asks for something, and not before the shortest rest. */
  async #rest(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#services;
    const leastMs = Math.min(delayMs, shortestRestMs);
    await clock.sleep(leastMs, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (this.#asked) return;
    this.#wake = new AbortController();
    await clock.sleep(delayMs - leastMs, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined);
    signal.throwIfAborted();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const asked = this.#asked;
    this.#asked = undefined;
    try {
      const reading = await this.#read(signal);
      await this.#tellWithdrawals(signal);
      if (!reading) return;
      // Beside it: a gateway repeats the directive with each heartbeat, and the token ends all the same.
      if (asked?.directive === 'top_up') await this.#answerTopUp(reading, signal);
      await this.#keep(reading, asked?.directive === 'rotate', signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#scope.log.warn('The Seal token could not be looked after', errorFields(error));
    }
  }

  async #tellWithdrawals(signal: AbortSignal): Promise<void> {
    try {
      const { withdrawals, standing } = this.#parts;
      await withdrawals.tell(await standing.earlierRecords(signal), signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#scope.log.warn('The earlier stakes could not be read', errorFields(error));
    }
  }

  async #answerTopUp({ record }: Reading, signal: AbortSignal): Promise<void> {
    try {
      await this.#parts.topUps.ask(record, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#scope.log.warn('The stake could not be topped up', errorFields(error));
    }
  }

  async #read(signal: AbortSignal): Promise<Reading | undefined> {
    const { chain } = this.#services;
    const id = this.#current?.recordId;
    if (id === undefined) return undefined;
    const record = (await chain.records([id], signal)).get(id);
    // An ended stake, and a revoked token, are the business of the plugin that follows the record.
    if (record?.status !== 'active' || record.token === undefined) return undefined;
    const token = (await chain.tokens([record.token], signal)).get(record.token);
    if (!token) return undefined;
    const [{ epoch }, { parameters }] = await Promise.all([chain.point(signal), chain.cluster(signal)]);
    return { record, token, epoch, longestLifeEpochs: parameters.longestTokenLifeEpochs };
  }

  async #keep(reading: Reading, isAsked: boolean, signal: AbortSignal): Promise<void> {
    const { record, token, epoch } = reading;
    this.#scope.emit('seal.read', {
      recordId: record.id,
      stakeMist: record.stakeMist,
      tokenId: token.id,
      epoch,
      expiresAtEpoch: token.expiresAtEpoch,
    });
    this.#parts.topUps.warn(record, await this.#services.chain.cluster(signal));
    await this.#watchGas(signal);
    if (token.id !== this.#current?.sealTokenId) return this.#registerWith(token);
    const isDue = isRotationDue(reading);
    if (!isDue && !isAsked) return this.#calm();
    if (isDue && this.#scope.config.rotation.mode === 'ask') return this.#warn(reading);
    if (!isDue && !(await this.#mayRotate(token))) return this.#sayAsked();
    try {
      await this.#rotate(record, token, signal);
      this.#calm();
    } catch (error) {
      signal.throwIfAborted();
      await this.#warn(reading, error);
      throw error;
    }
  }

  #mayRotate({ id }: SealToken): Promise<boolean> {
    return this.#parts.allowance.takeRotation(id, this.#scope.config.directives.rotations);
  }

  /** The record has another token than the one that was registered: this host, or an operator, has rotated it. */
  async #registerWith(token: SealToken): Promise<void> {
    const { identity, control } = this.#services;
    if (await identity.rotation.adopt(token.id, token.holderKey))
      control.reregister('the stake has another Seal token');
    else
      this.#scope.emit('attention.needed', {
        kind: 'key_replaced',
        severity: 'critical',
        summary: `the Seal token of this node was rotated to a key that this machine does not have (token ${token.id})`,
        remedy:
          'if you did not do that, your wallet key is stolen; else move the new key here, or rotate again',
        details: { tokenId: token.id },
      });
  }

  async #rotate(record: StakeRecord, earlier: SealToken, signal: AbortSignal): Promise<void> {
    const { identity, control } = this.#services;
    await rotateToken(
      this.#scope,
      this.#services,
      { recordId: record.id, earlierTokenId: earlier.id },
      signal,
    );
    control.reregister(`the Seal token of ${identity.nodeId} was rotated`);
  }

  async #warn(reading: Reading, error?: unknown): Promise<void> {
    const left = epochsLeft(reading);
    const why = error === undefined ? 'rotation.mode is ask' : messageOf(error);
    this.#warned = true;
    const isGasLow = error !== undefined && errorFacts(error).code === 'DAAS_BALANCE_TOO_LOW';
    this.#scope.emit('attention.needed', {
      kind: 'token_ending',
      severity: left <= 1n ? 'critical' : 'warning',
      summary: `the Seal token ends in ${left} epochs and is not rotated: ${why}`,
      remedy: isGasLow ? `send SUI to the wallet ${this.#services.chain.wallet}` : await this.#remedy(),
      details: { tokenId: reading.token.id, epochsLeft: Number(left) },
    });
  }

  /** The wallet may be elsewhere: it needs the public half of the key that waits here. */
  async #remedy(): Promise<string> {
    const key = Buffer.from(await this.#services.identity.rotation.prepare()).toString('hex');
    return `where the key of the wallet is, put ${key} into a file and run \`k3s-daas token rotate --holder-key-file FILE\`: it is the next node key of this machine`;
  }

  async #watchGas(signal: AbortSignal): Promise<void> {
    const { chain } = this.#services;
    const { gasReserveMist, mode } = this.#scope.config.rotation;
    if (mode === 'ask') return;
    const balanceMist = await chain.coinsMist(signal);
    const isLow = balanceMist < gasReserveMist;
    if (isLow)
      this.#scope.emit('attention.needed', {
        kind: 'gas_low',
        severity: 'warning',
        summary: `the wallet ${chain.wallet} holds ${formatSui(balanceMist)}: rotations are paid from it`,
        remedy: 'send SUI to it',
      });
    else if (this.#wasGasLow) this.#scope.emit('attention.ended', { kind: 'gas_low' });
    this.#wasGasLow = isLow;
  }

  #sayAsked(): void {
    this.#warned = true;
    this.#scope.emit('attention.needed', {
      kind: 'rotation_asked',
      severity: 'warning',
      summary: 'the gateway asks this node to rotate its Seal token, and directives.rotations allows no more',
      remedy:
        'run `k3s-daas token rotate --new-key-file` if the key may be stolen, or raise directives.rotations of the plugin staking',
    });
  }

  #calm(): void {
    if (!this.#warned) return;
    this.#warned = false;
    for (const kind of ['token_ending', 'rotation_asked']) this.#scope.emit('attention.ended', { kind });
  }
}

/** Makes the successor key, rotates the token to it, and makes proofs for the new token possible. Can be repeated. */
export async function rotateToken(
  { emit }: Pick<Scope<unknown>, 'emit'>,
  { chain, identity }: { readonly chain: StakeChain; readonly identity: NodeIdentity },
  { recordId, earlierTokenId }: { readonly recordId: string; readonly earlierTokenId: string },
  signal: AbortSignal,
): Promise<string> {
  const holderKey = await identity.rotation.prepare();
  const request = { recordId, tokenId: earlierTokenId, holderKey };
  const { objectId: tokenId, digest } = await chain.rotateSealToken(request, signal);
  await identity.rotation.adopt(tokenId, holderKey);
  emit('seal.rotated', { tokenId, earlierTokenId, recordId, digest });
  return tokenId;
}
