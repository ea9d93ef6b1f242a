import type { TransactionDataV1 } from './chain-view.ts';
import type { ObjectChange } from './effects.ts';
import { type GasCost, netCost, rebateOf, storageCostOf } from './gas.ts';
import type { Gas } from './inputs.ts';
import { abilitiesOf, coinOf, coinWith, encode, type ObjectOwner, SUI_TYPE } from './move/index.ts';
import {
  type ChainObject,
  type MoveObject,
  type PackageObject,
  type StoredObject,
  withDigest,
} from './objects.ts';
import type { PublishedPackage } from './packages.ts';
import type { RunCode } from './run-code.ts';

/** What a run wants to have on chain, before it is paid for. */
export interface Wanted {
  readonly written: ReadonlyMap<string, WantedObject>;
  readonly created: ReadonlySet<string>;
  readonly deleted: ReadonlySet<string>;
  readonly before: ReadonlyMap<string, StoredObject>;
  readonly gasOwner: ObjectOwner;
  readonly gasBalance: bigint;
}

export type WantedObject =
  | (Pick<MoveObject, 'kind' | 'type' | 'contents' | 'owner'> & { readonly kind: 'move' })
  | { readonly kind: 'package'; readonly published: PublishedPackage };

/** The transaction that is being settled. */
export interface SettlementContext {
  readonly data: TransactionDataV1;
  readonly digest: string;
  readonly gas: Gas;
  readonly lamport: bigint;
  readonly code: RunCode;
  readonly isChecked: boolean;
}

export interface Settled {
  readonly cost: GasCost;
  readonly changes: readonly ObjectChange[];
}

/** Charges for what is wanted; nothing when the budget or the coin does not cover it. */
export function settle({
  run,
  wanted,
  computation,
  isStorageFree = false,
}: {
  run: SettlementContext;
  wanted: Wanted;
  computation: bigint;
  isStorageFree?: boolean;
}): Settled | undefined {
  const { gas, data, isChecked } = run;
  const gasId = gas.coin.id;
  const after = new Map<string, ChainObject>();
  for (const [id, object] of wanted.written) if (id !== gasId) after.set(id, finished(run, id, object));
  const gasCoin = (balance: bigint): MoveObject => ({
    ...gas.coin,
    version: run.lamport,
    owner: wanted.gasOwner,
    previousTransaction: run.digest,
    contents: encode(coinWith(gasId, balance), coinOf(SUI_TYPE), run.code),
  });
  after.set(gasId, gasCoin(0n));

  let storageCost = 0n;
  for (const [id, object] of after) {
    const cost = isStorageFree ? (wanted.before.get(id)?.storageRebate ?? 0n) : storageCostOf(object);
    after.set(id, { ...object, storageRebate: cost });
    storageCost += isStorageFree ? 0n : cost;
  }
  const isReleased = (id: string) => !isStorageFree || !after.has(id);
  const paid = [...wanted.before.values()].reduce(
    (sum, { id, storageRebate }) => sum + (isReleased(id) ? storageRebate : 0n),
    0n,
  );
  const cost: GasCost = { computationCost: computation, storageCost, ...rebateOf(paid) };
  const net = netCost(cost);
  if (isChecked && (computation > BigInt(data.gasData.budget) || net > BigInt(data.gasData.budget)))
    return undefined;
  if (net > wanted.gasBalance) return undefined;
  after.set(gasId, {
    ...gasCoin(wanted.gasBalance - net),
    storageRebate: after.get(gasId)?.storageRebate ?? 0n,
  });

  const ids = new Set([...wanted.before.keys(), ...after.keys(), ...wanted.created, ...wanted.deleted]);
  const changes = [...ids].map((id): ObjectChange => {
    const object = after.get(id);
    return {
      id,
      before: wanted.before.get(id),
      after: object && withDigest(object),
      idOperation: wanted.created.has(id) ? 'Created' : wanted.deleted.has(id) ? 'Deleted' : 'None',
    };
  });
  return { cost, changes };
}

function finished(run: SettlementContext, id: string, wanted: WantedObject): ChainObject {
  const written = { id, previousTransaction: run.digest, storageRebate: 0n };
  if (wanted.kind === 'package') {
    const { modules, dependencies } = wanted.published;
    const pack: PackageObject = {
      ...written,
      kind: 'package',
      // A package begins at 1, whatever the versions of the transaction's inputs.
      version: 1n,
      owner: { kind: 'immutable' },
      modules: new Map([...modules].map(([name, module]) => [name, module.bytes])),
      typeOrigins: [...modules.values()].flatMap((module) =>
        module.datatypes.map(({ name }) => ({ module: module.name, datatype: name })),
      ),
      dependencies,
    };
    return pack;
  }
  const { type, contents } = wanted;
  const owner: ObjectOwner =
    wanted.owner.kind === 'shared'
      ? { kind: 'shared', initialVersion: wanted.owner.initialVersion ?? run.lamport }
      : wanted.owner;
  return {
    ...written,
    kind: 'move',
    version: run.lamport,
    type,
    hasPublicTransfer: abilitiesOf(type, run.code).has('store'),
    contents,
    owner,
  };
}
