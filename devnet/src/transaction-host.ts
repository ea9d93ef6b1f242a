import { fromBase58 } from '@mysten/sui/utils';
import { deriveObjectId } from './digest.ts';
import {
  asStruct,
  type Code,
  type DatatypeType,
  decode,
  encode,
  idOfObject,
  type MoveHost,
  type MoveReference,
  type MoveValue,
  type ObjectOwner,
  place,
  type Type,
} from './move/index.ts';
import type { MoveObject, StoredObject } from './objects.ts';

export interface TransactionEnvironment {
  readonly digest: string;
  readonly sender: string;
  readonly sponsor: string | undefined;
  readonly gasPrice: bigint;
  readonly referenceGasPrice: bigint;
  readonly epoch: bigint;
  readonly epochTimestampMs: bigint;
}

export interface EmittedEvent {
  readonly packageId: string;
  readonly module: string;
  readonly sender: string;
  readonly type: DatatypeType;
  readonly contents: Uint8Array;
}

/** What Move code asked to be written under an id. */
export interface PendingWrite {
  readonly type: DatatypeType;
  readonly value: MoveValue;
  readonly owner: ObjectOwner;
}

interface Child {
  readonly parent: string;
  readonly type: DatatypeType;
  /** Holds the field object, or nothing once it was removed. */
  readonly cell: MoveValue[];
  readonly loaded: (MoveObject & StoredObject) | undefined;
}

export interface ObjectSource {
  object(id: string): StoredObject | undefined;
}

/**
 * One run of a transaction's Move code: collects what it creates, transfers, deletes and emits. Nothing of it reaches
 * the ledger before the run has succeeded.
 */
export class TransactionHost implements MoveHost {
  readonly sender: string;
  readonly sponsor: string | undefined;
  readonly epoch: bigint;
  readonly epochTimestampMs: bigint;
  readonly gasPrice: bigint;
  readonly referenceGasPrice: bigint;
  readonly digestBytes: Uint8Array;
  readonly createdIds = new Set<string>();
  readonly deletedIds = new Set<string>();
  readonly transfers = new Map<string, PendingWrite>();
  readonly events: EmittedEvent[] = [];
  readonly #digest: string;
  readonly #code: Code;
  readonly #source: ObjectSource;
  readonly #sharedInputs: ReadonlySet<string>;
  readonly #children = new Map<string, Child>();
  #counter = 0n;
  /** The module whose function is being called by the current command: events name it. */
  emitter: { packageId: string; module: string } = { packageId: '', module: '' };

  constructor(
    environment: TransactionEnvironment,
    code: Code,
    source: ObjectSource,
    sharedInputs: ReadonlySet<string>,
  ) {
    this.#sharedInputs = sharedInputs;
    this.sender = environment.sender;
    this.sponsor = environment.sponsor;
    this.epoch = environment.epoch;
    this.epochTimestampMs = environment.epochTimestampMs;
    this.gasPrice = environment.gasPrice;
    this.referenceGasPrice = environment.referenceGasPrice;
    this.digestBytes = fromBase58(environment.digest);
    this.#digest = environment.digest;
    this.#code = code;
    this.#source = source;
  }

  freshId(): string {
    return deriveObjectId(this.#digest, this.#counter++);
  }

  created(id: string): void {
    this.createdIds.add(id);
    this.deletedIds.delete(id);
  }

  deleted(id: string): void {
    // What came and went within the transaction leaves no trace in its effects.
    if (!this.createdIds.delete(id)) this.deletedIds.add(id);
  }

  mayShare(id: string): boolean {
    return this.createdIds.has(id) || this.#sharedInputs.has(id);
  }

  transfer(type: Type, value: MoveValue, owner: ObjectOwner): void {
    this.transfers.set(idOfObject(value), { type: type as DatatypeType, value, owner });
  }

  emit(type: Type, value: MoveValue): void {
    this.events.push({
      ...this.emitter,
      sender: this.sender,
      type: type as DatatypeType,
      contents: encode(value, type, this.#code),
    });
  }

  addChild(parent: string, id: string, type: Type, value: MoveValue): void {
    const before = this.#children.get(id);
    this.#children.set(id, {
      parent,
      type: type as DatatypeType,
      cell: [value],
      loaded: before?.loaded,
    });
  }

  hasChild(parent: string, id: string): boolean {
    return this.borrowChild(parent, id) !== undefined;
  }

  borrowChild(parent: string, id: string): { type: Type; place: MoveReference } | undefined {
    const child = this.#child(parent, id);
    return child && child.cell.length > 0 ? { type: child.type, place: place(child.cell, 0) } : undefined;
  }

  removeChild(parent: string, id: string): MoveValue {
    const value = this.#child(parent, id)?.cell.pop();
    if (value === undefined) throw new Error(`${id} is no child of ${parent}`);
    return asStruct(value);
  }

  #child(parent: string, id: string): Child | undefined {
    const known = this.#children.get(id);
    if (known) return known.parent === parent ? known : undefined;
    const stored = this.#source.object(id);
    if (stored?.kind !== 'move' || stored.owner.kind !== 'object' || stored.owner.parent !== parent)
      return undefined;
    const child: Child = {
      parent,
      type: stored.type,
      cell: [decode(stored.contents, stored.type, this.#code)],
      loaded: stored,
    };
    this.#children.set(id, child);
    return child;
  }

  /** Field objects that came, changed or went. A field that was only looked at is not written. */
  childChanges(): { written: Map<string, PendingWrite>; loaded: Map<string, StoredObject> } {
    const written = new Map<string, PendingWrite>();
    const loaded = new Map<string, StoredObject>();
    for (const [id, child] of this.#children) {
      const [value] = child.cell;
      if (value === undefined) {
        if (child.loaded) loaded.set(id, child.loaded);
        continue;
      }
      const isUnchanged =
        child.loaded !== undefined &&
        Buffer.compare(encode(value, child.type, this.#code), child.loaded.contents) === 0;
      if (isUnchanged) continue;
      if (child.loaded) loaded.set(id, child.loaded);
      written.set(id, { type: child.type, value, owner: { kind: 'object', parent: child.parent } });
    }
    return { written, loaded };
  }
}
