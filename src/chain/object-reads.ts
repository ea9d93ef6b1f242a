import { bcs } from '@mysten/sui/bcs';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { isValidSuiObjectId, isValidTransactionDigest, normalizeSuiAddress } from '@mysten/sui/utils';

export interface ReadObject {
  readonly id: string;
  readonly version: bigint;
  readonly digest: string;
  /** Canonical struct tag; `package` for a package. */
  readonly type: string;
  readonly content: Uint8Array;
  readonly ownerAddress: string | undefined;
  /** A transaction names a shared object with the version at which it was shared. */
  readonly initialSharedVersion: bigint | undefined;
  readonly previousTransaction: string;
  /** The chain's time of the checkpoint that it was written in; of proven objects alone. */
  readonly writtenAtMs?: number;
  /** The chain's time of the last probe that found this version to be the newest; of proven objects alone. */
  readonly probedAtMs?: number;
}

/** Objects by id, in batches of 50 (the SDK's); those that do not exist are missing from the map. */
export async function readObjects(
  client: SuiGrpcClient,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, ReadObject>> {
  const { objects } = await client.core.getObjects({
    objectIds: ids.map((id) => normalizeSuiAddress(id)),
    include: { content: true, previousTransaction: true },
    signal,
  });
  const found = new Map<string, ReadObject>();
  objects.forEach((object, index) => {
    const id = ids[index] as string;
    if (object instanceof Error) {
      if ('reason' in object && object.reason !== 'unknown') return;
      throw object;
    }
    const { owner } = object;
    assertReference(object);
    found.set(id, {
      id: object.objectId,
      version: BigInt(object.version),
      digest: object.digest,
      type: object.type,
      content: object.content ?? new Uint8Array(),
      ownerAddress: owner.$kind === 'AddressOwner' ? owner.AddressOwner : undefined,
      initialSharedVersion: owner.$kind === 'Shared' ? BigInt(owner.Shared.initialSharedVersion) : undefined,
      previousTransaction: object.previousTransaction ?? '',
    });
  });
  return found;
}

/** Throws inside the call, so that it counts as a failure of the node: no transaction can be built of anything else. */
export function assertReference(served: { readonly objectId: string; readonly digest: string }): void {
  const { objectId, digest } = served;
  // A digest of an object is as long as one of a transaction: 32 bytes in base58.
  if (!isValidSuiObjectId(objectId) || !isValidTransactionDigest(digest))
    throw new Error(`the node names an object '${objectId}' with the digest '${digest}', which is none`);
}

export interface EpochFacts {
  readonly epoch: bigint;
  readonly gasPrice: bigint;
}

export async function readEpoch(client: SuiGrpcClient, signal: AbortSignal): Promise<EpochFacts> {
  const { response } = await client.ledgerService.getEpoch(
    { readMask: { paths: ['epoch', 'reference_gas_price'] } },
    { abort: signal },
  );
  const { epoch } = response;
  if (epoch?.epoch === undefined || epoch.referenceGasPrice === undefined)
    throw new Error('the reply has no epoch or no gas price');
  return { epoch: epoch.epoch, gasPrice: epoch.referenceGasPrice };
}

export const CLOCK_ID = '0x6';
const ClockContent = bcs.struct('Clock', { id: bcs.Address, timestampMs: bcs.u64() });

/** The chain's own time, ms, of the clock object. */
export function clockOf(object: ReadObject | undefined): number {
  if (!object) throw new Error('the reply has no object 0x6');
  return Number(ClockContent.parse(object.content).timestampMs);
}
