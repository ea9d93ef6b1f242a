import type { Type } from './types.ts';
import type { MoveReference, MoveValue } from './values.ts';

export type ObjectOwner =
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'object'; readonly parent: string }
  | { readonly kind: 'shared'; readonly initialVersion: bigint | undefined }
  | { readonly kind: 'immutable' };

/** What the transaction that is running offers to Move code: `sui::tx_context`, `transfer`, `event`, dynamic fields. */
export interface MoveHost {
  readonly sender: string;
  readonly sponsor: string | undefined;
  readonly epoch: bigint;
  readonly epochTimestampMs: bigint;
  readonly gasPrice: bigint;
  readonly referenceGasPrice: bigint;
  readonly digestBytes: Uint8Array;

  /** The next id derived from the transaction's digest. */
  freshId(): string;
  /** A UID came into being. */
  created(id: string): void;
  /** A UID was destroyed. */
  deleted(id: string): void;
  /** Only what was made in this transaction, or is shared already, may be shared. */
  mayShare(id: string): boolean;
  transfer(type: Type, value: MoveValue, owner: ObjectOwner): void;
  emit(type: Type, value: MoveValue): void;

  /** Dynamic fields: `undefined` from `borrow` means there is none of that id under that parent. */
  addChild(parent: string, id: string, type: Type, value: MoveValue): void;
  hasChild(parent: string, id: string): boolean;
  borrowChild(parent: string, id: string): { readonly type: Type; readonly place: MoveReference } | undefined;
  removeChild(parent: string, id: string): MoveValue;
}
