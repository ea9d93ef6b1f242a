import type { bcs } from '@mysten/sui/bcs';
import type { StoredObject } from './objects.ts';
import type { PublishedPackage } from './packages.ts';

type TransactionData = typeof bcs.TransactionData.$inferType;
export type TransactionDataV1 = Extract<TransactionData, { $kind: 'V1' }>['V1'];
export type CallArg = typeof bcs.CallArg.$inferType;

/** What the executor reads of the chain. */
export interface ChainView {
  readonly chainId: string;
  readonly epoch: bigint;
  readonly epochStartMs: number;
  nowMs(): number;
  object(id: string): StoredObject | undefined;
  package(id: string): PublishedPackage | undefined;
}
