import type { TransactionDataBuilder } from '@mysten/sui/transactions';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { isClusterAct } from './cluster-act.ts';
import { clusterActRequest } from './cluster-act-calls.ts';
import type { CoinReference } from './coins.ts';
import { isFoundingAct } from './founding-act.ts';
import { foundingRequest } from './founding-act-calls.ts';
import type { Where } from './operation.ts';
import { buildBytes, type TransactionRequest } from './prepare-transaction.ts';
import { actRequest, isStakeAct, makingRequest } from './stake-acts.ts';
import type { SignedAct } from './unsigned-act.ts';

type TransactionData = ReturnType<TransactionDataBuilder['snapshot']>;

/**
 * The bytes of the transaction that does an act, with sender, gas, coins, object versions and expiry of another one. Equal bytes
 * do exactly that act; names of calls alone would let other commands, amounts and receivers pass.
 * @throws whatever is said of data that are not those of such a transaction
 */
export async function rebuiltBytes(
  where: Omit<Where, 'chainId'>,
  act: SignedAct,
  data: TransactionData,
): Promise<Uint8Array> {
  const { sender, gasData, expiration } = data;
  if (!sender || !gasData.owner || !gasData.payment || !gasData.budget || !gasData.price)
    throw new Error('it lacks a sender or gas coins');
  if (expiration?.$kind !== 'Epoch') throw new Error('it lacks an epoch in which it expires');
  const owned = ownedInputs(data);
  const tokenIds = tokensOf(act, data);
  const coins = owned.filter(({ objectId }) => !tokenIds.includes(objectId));
  const isSponsored = normalizeSuiAddress(gasData.owner) !== normalizeSuiAddress(sender);
  const request = requestOf(where, act, { sender, token: tokenIds[0] });
  return buildBytes(
    { ...request, gasOwner: gasData.owner },
    {
      versions: sharedVersions(data),
      owned: new Map(owned.map((reference) => [reference.objectId, reference])),
      spent: isSponsored ? coins : [],
      payment: { gas: gasData.payment.map(referenceOf), merged: isSponsored ? [] : coins },
      budgetMist: BigInt(gasData.budget),
      gasPrice: BigInt(gasData.price),
      expirationEpoch: BigInt(expiration.Epoch),
    },
  );
}

function requestOf(
  { packageId, clusterId }: Omit<Where, 'chainId'>,
  act: SignedAct,
  { sender, token }: { readonly sender: string; readonly token: string | undefined },
): TransactionRequest {
  if (isFoundingAct(act)) {
    // The file shows what it names: nothing that the bytes do not hold.
    if (clusterId !== undefined) throw new Error('it names a cluster, and makes one');
    if ((act.kind === 'publish') !== (packageId === undefined))
      throw new Error('it names a package that it does not use, or none');
    return foundingRequest({ sender, packageId }, act);
  }
  if (packageId === undefined || clusterId === undefined)
    throw new Error('it names no package or no cluster');
  const contract = { packageId, clusterId };
  if (isClusterAct(act)) return clusterActRequest(sender, contract, act);
  if (isStakeAct(act)) return actRequest(sender, contract, { act, record: { id: act.recordId, token } });
  return makingRequest(sender, contract, act);
}

/** The Seal token that the act takes; that of an unstake is not named by the act. */
function tokensOf(act: SignedAct, { commands, inputs }: TransactionData): string[] {
  if (act.kind === 'rotate' || act.kind === 'revoke') return [act.tokenId];
  if (act.kind !== 'unstake') return [];
  const taken = commands.flatMap(({ MoveCall }) => MoveCall?.arguments ?? []);
  return taken.flatMap((argument) => {
    const object = argument.$kind === 'Input' ? inputs[argument.Input]?.Object : undefined;
    return object?.$kind === 'ImmOrOwnedObject' ? [object.ImmOrOwnedObject.objectId] : [];
  });
}

function ownedInputs({ inputs }: TransactionData): CoinReference[] {
  return inputs.flatMap(({ Object: object }) =>
    object?.$kind === 'ImmOrOwnedObject' ? [referenceOf(object.ImmOrOwnedObject)] : [],
  );
}

function sharedVersions({ inputs }: TransactionData): Map<string, bigint> {
  return new Map(
    inputs.flatMap(({ Object: object }) =>
      object?.$kind === 'SharedObject'
        ? [[object.SharedObject.objectId, BigInt(object.SharedObject.initialSharedVersion)] as const]
        : [],
    ),
  );
}

function referenceOf({
  objectId,
  version,
  digest,
}: {
  readonly objectId: string;
  readonly version: string | number;
  readonly digest: string;
}): CoinReference {
  return { objectId, version: String(version), digest };
}
