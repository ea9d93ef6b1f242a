import { normalizeSuiAddress } from '@mysten/sui/utils';
import type { ChainTime } from './chain-time.ts';
import type { ChainView, TransactionDataV1 } from './chain-view.ts';
import { type Checkpoint, type EndOfEpoch, sealCheckpoint } from './checkpoints.ts';
import { syntheticDigest } from './digest.ts';
import { executeTransaction, type Outcome } from './executor.ts';
import type { GasCost } from './gas.ts';
import {
  coinOf,
  coinWith,
  datatype,
  encode,
  FRAMEWORK,
  type MoveValue,
  STD,
  SUI,
  SUI_TYPE,
  struct,
  u64,
  uidOf,
} from './move/index.ts';
import { ObjectStore } from './object-store.ts';
import { type MoveObject, type PackageObject, withDigest } from './objects.ts';
import type { PublishedPackage } from './packages.ts';
import { RunCode } from './run-code.ts';
import { Validators } from './validators.ts';

const CLOCK_ID = normalizeSuiAddress('0x6');
const CLOCK_TYPE = datatype(SUI, 'clock', 'Clock');

/** A transaction that is on the chain for good. */
export interface ExecutedTransaction {
  readonly digest: string;
  readonly bytes: Uint8Array;
  readonly data: TransactionDataV1;
  readonly signatures: readonly Uint8Array[];
  readonly outcome: Outcome;
  readonly epoch: bigint;
  readonly checkpoint: bigint;
  readonly timestampMs: number;
}

/** The protocol version this chain's answers follow; the facts it keeps to were measured at it. */
export const PROTOCOL_VERSION = 132n;

/** An epoch from its first checkpoint on; the last ones are set when it has ended. */
export interface EpochRecord {
  readonly epoch: bigint;
  readonly startMs: number;
  readonly firstCheckpoint: bigint;
  readonly endMs?: number;
  readonly lastCheckpoint?: bigint;
}

export interface LedgerOptions {
  readonly time: ChainTime;
  /** Makes this chain's id another than any other chain's. */
  readonly seed: string;
  readonly epochDurationMs: number;
  /** Who holds all SUI at the beginning, and how much. */
  readonly treasury: { readonly address: string; readonly mist: bigint };
}

interface StructParts extends Pick<MoveObject, 'id' | 'type' | 'version' | 'previousTransaction' | 'owner'> {
  readonly value: MoveValue;
}

/** The state of the chain, in memory: objects, packages, transactions, checkpoints, the epoch and the Clock. */
export class Ledger implements ChainView {
  readonly chainId: string;
  readonly epochDurationMs: number;
  readonly objects = new ObjectStore();
  readonly code: RunCode;
  readonly transactions = new Map<string, ExecutedTransaction>();
  /** In order; the index is the sequence number. */
  readonly checkpoints: Checkpoint[] = [];
  /** In order; the index is the epoch. */
  readonly epochs: EpochRecord[] = [];
  readonly validators: Validators;
  epoch = 0n;
  epochStartMs: number;
  /** Fees that left the coins: computation, and storage that is not paid back. */
  collectedMist = 0n;
  readonly #time: ChainTime;
  readonly #packages = new Map<string, PublishedPackage>();
  readonly #listeners = new Set<(checkpoint: Checkpoint) => void>();
  #networkTotal = 0n;
  #epochCost: GasCost = NO_COST;

  constructor({ time, seed, epochDurationMs, treasury }: LedgerOptions) {
    this.#time = time;
    this.epochDurationMs = epochDurationMs;
    this.epochStartMs = time.nowMs();
    this.epochs.push({ epoch: 0n, startMs: this.epochStartMs, firstCheckpoint: 0n });
    this.validators = new Validators(seed);
    this.code = new RunCode(this);
    const genesis = syntheticDigest('k3s-daas development chain', 'genesis', seed);
    this.#addFramework(genesis);
    this.objects.putLatestOnly(withDigest(this.#clock(1n, genesis)));
    this.objects.put(withDigest(this.#firstCoin(treasury, genesis)));
    // A chain's id is the digest of its first checkpoint.
    this.chainId = this.#seal([{ digest: genesis, effectsDigest: genesis }], undefined).digest;
  }

  nowMs(): number {
    return this.#time.nowMs();
  }

  object(id: string) {
    return this.objects.get(id);
  }

  package(id: string): PublishedPackage | undefined {
    return this.#packages.get(id);
  }

  get tip(): Checkpoint {
    return this.checkpoints.at(-1) as Checkpoint;
  }

  /** Called with every checkpoint from now on; returns how to stop. */
  onCheckpoint(listener: (checkpoint: Checkpoint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Executes a transaction whose signatures have been verified and puts it into a checkpoint of its own. One that is
   * known already is not executed again. Throws an `InputError` for what a node refuses; then nothing has changed.
   */
  execute(
    digest: string,
    bytes: Uint8Array,
    data: TransactionDataV1,
    signatures: readonly Uint8Array[],
  ): ExecutedTransaction {
    const known = this.transactions.get(digest);
    if (known) return known;
    // Inputs are checked first against the chain as it stands: what is refused must not even tick the Clock.
    const prologue = this.#prologue();
    const outcome = executeTransaction(
      { ...this.#view(), object: (id) => (id === CLOCK_ID ? prologue.clock : this.objects.get(id)) },
      data,
      digest,
      { isChecked: true, mayMockGas: false },
    );
    this.objects.putLatestOnly(prologue.clock);
    for (const { id, before, after } of outcome.effects.changes) {
      if (after) this.objects.put(after);
      else if (before) this.objects.delete(id);
    }
    for (const published of outcome.packages) this.#packages.set(published.id, published);
    this.collectedMist += outcome.cost.computationCost + outcome.cost.nonRefundableStorageFee;
    const executed: ExecutedTransaction = {
      digest,
      bytes,
      data,
      signatures,
      outcome,
      epoch: this.epoch,
      checkpoint: BigInt(this.checkpoints.length),
      timestampMs: prologue.timestampMs,
    };
    this.transactions.set(digest, executed);
    this.#epochCost = addCosts(this.#epochCost, outcome.cost);
    this.#seal([prologue, { digest, effectsDigest: outcome.effects.digest }], executed, prologue.timestampMs);
    return executed;
  }

  /** Runs a transaction against the chain as it stands, without a trace. */
  simulate(
    digest: string,
    data: TransactionDataV1,
    options: { isChecked: boolean; mayMockGas: boolean },
  ): Outcome {
    return executeTransaction(this, data, digest, options);
  }

  /** A checkpoint without a user's transaction: time goes on. */
  tick(): Checkpoint {
    const prologue = this.#prologue();
    this.objects.putLatestOnly(prologue.clock);
    return this.#seal([prologue], undefined, prologue.timestampMs);
  }

  /** Ends the epoch. */
  advanceEpoch(): Checkpoint {
    const prologue = this.#prologue();
    this.objects.putLatestOnly(prologue.clock);
    const checkpoint = this.#seal([prologue], undefined, prologue.timestampMs, {
      nextCommittee: this.validators.committee(this.epoch + 1n),
      nextProtocolVersion: PROTOCOL_VERSION,
    });
    this.epochs[Number(this.epoch)] = {
      ...(this.epochs[Number(this.epoch)] as EpochRecord),
      endMs: prologue.timestampMs,
      lastCheckpoint: checkpoint.sequenceNumber,
    };
    this.epoch += 1n;
    this.epochStartMs = this.nowMs();
    this.epochs.push({
      epoch: this.epoch,
      startMs: this.epochStartMs,
      firstCheckpoint: checkpoint.sequenceNumber + 1n,
    });
    this.#epochCost = NO_COST;
    return checkpoint;
  }

  #view(): ChainView {
    return {
      chainId: this.chainId,
      epoch: this.epoch,
      epochStartMs: this.epochStartMs,
      nowMs: () => this.nowMs(),
      object: (id) => this.objects.get(id),
      package: (id) => this.#packages.get(id),
    };
  }

  /** The system transaction that begins every checkpoint: it ticks the Clock. */
  #prologue() {
    const timestampMs = this.nowMs();
    const digest = syntheticDigest('prologue', this.chainId, String(this.checkpoints.length));
    const version = (this.objects.get(CLOCK_ID)?.version ?? 0n) + 1n;
    return {
      digest,
      effectsDigest: syntheticDigest('effects', digest),
      timestampMs,
      clock: withDigest(this.#clock(version, digest)),
    };
  }

  #seal(
    contents: ReadonlyArray<{ readonly digest: string; readonly effectsDigest: string }>,
    transaction: ExecutedTransaction | undefined,
    timestampMs = this.nowMs(),
    endOfEpoch?: EndOfEpoch,
  ): Checkpoint {
    this.#networkTotal += BigInt(contents.length);
    const checkpoint = sealCheckpoint({
      epoch: this.epoch,
      sequenceNumber: BigInt(this.checkpoints.length),
      networkTotalTransactions: this.#networkTotal,
      previousDigest: this.checkpoints.at(-1)?.digest,
      epochCost: this.#epochCost,
      timestampMs,
      contents,
      transaction,
      endOfEpoch,
    });
    this.checkpoints.push(checkpoint);
    for (const listener of this.#listeners) listener(checkpoint);
    return checkpoint;
  }

  #clock(version: bigint, previousTransaction: string): MoveObject {
    return this.#struct({
      id: CLOCK_ID,
      type: CLOCK_TYPE,
      value: struct(uidOf(CLOCK_ID), u64(BigInt(this.nowMs()))),
      version,
      previousTransaction,
      owner: { kind: 'shared', initialVersion: 1n },
    });
  }

  #firstCoin({ address, mist }: LedgerOptions['treasury'], genesis: string): MoveObject {
    const id = normalizeSuiAddress(`0x${'f'.repeat(63)}0`);
    return this.#struct({
      id,
      type: coinOf(SUI_TYPE),
      value: coinWith(id, mist),
      version: 1n,
      previousTransaction: genesis,
      owner: { kind: 'address', address },
    });
  }

  /** An object that no transaction pays for. */
  #struct({ value, type, ...rest }: StructParts): MoveObject {
    return {
      ...rest,
      kind: 'move',
      type,
      storageRebate: 0n,
      hasPublicTransfer: type !== CLOCK_TYPE,
      contents: encode(value, type, this.code),
    };
  }

  /** The framework's packages exist as objects, so that they can be named; their functions are native here. */
  #addFramework(genesis: string): void {
    for (const id of [STD, SUI]) {
      const own = FRAMEWORK.filter(({ address }) => address === id);
      const object: PackageObject = {
        kind: 'package',
        id,
        version: 1n,
        owner: { kind: 'immutable' },
        previousTransaction: genesis,
        storageRebate: 0n,
        modules: new Map(own.map(({ name }) => [name, new Uint8Array()])),
        typeOrigins: own.flatMap((module) =>
          module.datatypes.map(({ name }) => ({ module: module.name, datatype: name })),
        ),
        dependencies: id === SUI ? [STD] : [],
      };
      this.objects.put(withDigest(object));
    }
  }
}

const NO_COST: GasCost = {
  computationCost: 0n,
  storageCost: 0n,
  storageRebate: 0n,
  nonRefundableStorageFee: 0n,
};

const addCosts = (left: GasCost, right: GasCost): GasCost => ({
  computationCost: left.computationCost + right.computationCost,
  storageCost: left.storageCost + right.storageCost,
  storageRebate: left.storageRebate + right.storageRebate,
  nonRefundableStorageFee: left.nonRefundableStorageFee + right.nonRefundableStorageFee,
});
