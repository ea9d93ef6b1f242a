import type { bcs } from '@mysten/sui/bcs';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { fromBase64 } from './base64.ts';
import type { CallArg, ChainView, TransactionDataV1 } from './chain-view.ts';
import { MAX_GAS_BUDGET, MAX_GAS_OBJECTS, MAX_GAS_PRICE, minimumBudget, REFERENCE_GAS_PRICE } from './gas.ts';
import { coinBalance, coinOf, coinWith, decode, encode, isSuiCoin, SUI_TYPE } from './move/index.ts';
import { type MoveObject, type StoredObject, withDigest } from './objects.ts';
import type { Command } from './programmable.ts';
import { InputError } from './rpc-error.ts';
import type { RunCode } from './run-code.ts';
import type { ObjectInput } from './slots.ts';

/** What a node checks of a transaction before it runs it; all of it throws `InputError`. */

const MOCK_GAS_BALANCE = 1_000_000_000_000_000n;
const CLOCK_ID = normalizeSuiAddress('0x6');

export interface LoadedInputs {
  readonly arguments: ReadonlyArray<ObjectInput | Uint8Array>;
  readonly objects: ReadonlyMap<string, ObjectInput>;
  readonly packages: readonly StoredObject[];
}

export interface Gas {
  /** The coin that the others are merged into. */
  readonly coin: StoredObject & { readonly kind: 'move' };
  readonly merged: readonly StoredObject[];
  readonly total: bigint;
  readonly isMock: boolean;
}

export function programmable(data: TransactionDataV1): {
  commands: readonly Command[];
  inputs: readonly CallArg[];
} {
  if (data.kind.$kind !== 'ProgrammableTransaction')
    throw new InputError('System transactions cannot be submitted by a user');
  return data.kind.ProgrammableTransaction;
}

export function checkExpiration(chain: ChainView, { expiration }: TransactionDataV1): void {
  if (expiration.$kind === 'None') return;
  if (expiration.$kind === 'Epoch') {
    if (BigInt(expiration.Epoch) < chain.epoch) throw new InputError('Transaction Expired');
    return;
  }
  const window = expiration.$kind === 'ValidDuring' ? expiration.ValidDuring : expiration.Validity;
  if (window.chain !== chain.chainId)
    throw new InputError(
      `Invalid transaction expiration: chain ID mismatch: expected ${chain.chainId}, got ${window.chain}`,
    );
  if (window.minEpoch !== null && BigInt(window.minEpoch) > chain.epoch)
    throw new InputError(`Invalid transaction expiration: minimum epoch ${window.minEpoch} is in the future`);
  if (window.maxEpoch !== null && BigInt(window.maxEpoch) < chain.epoch)
    throw new InputError('Transaction Expired');
}

export function checkGasSettings({ gasData }: TransactionDataV1): void {
  const price = BigInt(gasData.price);
  const budget = BigInt(gasData.budget);
  if (price < REFERENCE_GAS_PRICE)
    throw new InputError(`Gas price ${price} under reference gas price (RGP) ${REFERENCE_GAS_PRICE}`);
  if (price > MAX_GAS_PRICE) throw new InputError(`Gas price cannot exceed ${MAX_GAS_PRICE} mist`);
  if (budget > MAX_GAS_BUDGET)
    throw new InputError(`Gas budget: ${budget} is higher than max: ${MAX_GAS_BUDGET}`);
  if (budget < minimumBudget(price))
    throw new InputError(`Gas budget: ${budget} is lower than min: ${minimumBudget(price)}`);
  if (gasData.payment.length > MAX_GAS_OBJECTS)
    throw new InputError(`Size limit exceeded: maximum number of gas payment objects is ${MAX_GAS_OBJECTS}`);
}

type Ref = typeof bcs.SuiObjectRef.$inferType;

/** Versions are shown in hex, as the node shows them. */
const hex = (version: bigint): string => `0x${version.toString(16)}`;

/** Finds an owned or immutable object in exactly the version that the transaction names. */
function loadRef(chain: ChainView, ref: Ref): StoredObject & { readonly kind: 'move' } {
  const id = normalizeSuiAddress(ref.objectId);
  const version = BigInt(ref.version);
  const object = chain.object(id);
  // A node cannot tell an object that is gone from one that it has not heard of yet: it asks to be asked again.
  if (!object) throw new InputError(`Could not find the referenced object ${id} at version None`, true);
  if (object.kind === 'package')
    throw new InputError(`A move object is expected, instead a move package is passed: ${id}`);
  if (object.version > version)
    throw new InputError(
      `Transaction needs to be rebuilt because object ${id} version ${hex(version)} (${ref.digest}) is unavailable for consumption, current version: ${hex(object.version)}`,
    );
  if (object.version < version)
    throw new InputError(
      `Could not find the referenced object ${id} at version Some(SequenceNumber(${version}))`,
      true,
    );
  if (object.digest !== ref.digest)
    throw new InputError(`Invalid Object digest for object ${id}. Expected digest : ${object.digest}`);
  return object;
}

export function loadInputs(
  chain: ChainView,
  data: TransactionDataV1,
  inputs: readonly CallArg[],
  commands: readonly Command[],
  isChecked: boolean,
): LoadedInputs {
  const objects = new Map<string, ObjectInput>();
  const args = inputs.map((input) => {
    if (input.$kind === 'Pure') return fromBase64(input.Pure.bytes);
    if (input.$kind !== 'Object')
      throw new InputError('Withdrawals from address balances are not supported by this development chain');
    const loaded = loadObject(chain, data, input.Object, isChecked);
    if (objects.has(loaded.object.id))
      throw new InputError("The transaction inputs contain duplicated ObjectRef's");
    objects.set(loaded.object.id, loaded);
    return loaded;
  });
  for (const { objectId } of data.gasData.payment)
    if (objects.has(normalizeSuiAddress(objectId)))
      throw new InputError(`Mutable object ${objectId} cannot appear more than one in one transaction`);
  return { arguments: args, objects, packages: loadPackages(chain, commands) };
}

function loadObject(
  chain: ChainView,
  data: TransactionDataV1,
  argument: Extract<CallArg, { $kind: 'Object' }>['Object'],
  isChecked: boolean,
): ObjectInput {
  if (argument.$kind === 'SharedObject') return loadShared(chain, argument.SharedObject);
  if (argument.$kind === 'Receiving')
    throw new InputError('Receiving objects are not supported by this development chain');
  const object = loadRef(chain, argument.ImmOrOwnedObject);
  switch (object.owner.kind) {
    case 'immutable':
      return { object, access: 'immutable' };
    case 'address': {
      const sender = normalizeSuiAddress(data.sender);
      if (isChecked && object.owner.address !== sender)
        throw new InputError(
          `Transaction was not signed by the correct sender: Object ${object.id} is owned by account address ${object.owner.address}, but given owner/signer address is ${sender}`,
        );
      return { object, access: 'owned' };
    }
    case 'object':
      throw new InputError(
        `Object ${object.id} is owned by object ${object.owner.parent}. Objects owned by other objects cannot be used as input arguments`,
      );
    case 'shared':
      throw new InputError(`Object ${object.id} is a shared object and cannot be used as an owned one`);
  }
}

function loadShared(
  chain: ChainView,
  shared: Extract<Extract<CallArg, { $kind: 'Object' }>['Object'], { $kind: 'SharedObject' }>['SharedObject'],
): ObjectInput {
  const id = normalizeSuiAddress(shared.objectId);
  const object = chain.object(id);
  if (!object) throw new InputError(`Could not find the referenced object ${id} at version None`, true);
  if (object.kind === 'package' || object.owner.kind !== 'shared')
    throw new InputError('Object used as shared is not shared');
  if (object.owner.initialVersion !== BigInt(shared.initialSharedVersion))
    throw new InputError('Wrong initial version given for shared object');
  if (id === CLOCK_ID && shared.mutable)
    throw new InputError('The Clock can be taken by immutable reference only');
  return { object, access: shared.mutable ? 'shared-mutable' : 'shared-read-only' };
}

function loadPackages(chain: ChainView, commands: readonly Command[]): StoredObject[] {
  const ids = commands.flatMap((command) => {
    if (command.$kind === 'MoveCall') return [command.MoveCall.package];
    if (command.$kind === 'Publish') return command.Publish.dependencies;
    return [];
  });
  return [...new Set(ids.map((id) => normalizeSuiAddress(id)))].map((id) => {
    const object = chain.object(id);
    if (!object) throw new InputError(`Dependent package not found on-chain: ${id}`, true);
    if (object.kind !== 'package')
      throw new InputError(`A move package is expected, instead a move object is passed: ${id}`);
    return object;
  });
}

export function loadGas(
  chain: ChainView,
  data: TransactionDataV1,
  digest: string,
  code: RunCode,
  { isChecked, mayMockGas }: { isChecked: boolean; mayMockGas: boolean },
): Gas {
  const { payment, budget } = data.gasData;
  const owner = normalizeSuiAddress(data.gasData.owner);
  if (payment.length === 0) {
    if (!mayMockGas) throw new InputError('Transaction gas payment missing');
    return mockGas(owner, digest, chain.nowMs(), code);
  }
  const coins = payment.map((ref) => {
    const coin = loadRef(chain, ref);
    if (!isSuiCoin(coin.type)) throw new InputError(`Object ${coin.id} is not a gas object`);
    if (coin.owner.kind !== 'address')
      throw new InputError(`Gas object is not an owned object with owner: ${coin.owner.kind}`);
    if (coin.owner.address !== owner)
      throw new InputError(
        `Transaction was not signed by the correct sender: Object ${coin.id} is owned by account address ${coin.owner.address}, but given owner/signer address is ${owner}`,
      );
    return coin;
  });
  if (new Set(coins.map(({ id }) => id)).size !== coins.length)
    throw new InputError("The transaction inputs contain duplicated ObjectRef's");
  const total = coins.reduce((sum, coin) => sum + coinBalance(decode(coin.contents, coin.type, code)), 0n);
  if (isChecked && total < BigInt(budget))
    throw new InputError(`Balance of gas object ${total} is lower than the needed amount: ${budget}`);
  const [coin, ...merged] = coins;
  if (!coin) throw new InputError('Transaction gas payment missing');
  return { coin, merged, total, isMock: false };
}

/** A coin that exists for the length of a simulation; no object has its id. */
function mockGas(owner: string, digest: string, nowMs: number, code: RunCode): Gas {
  const id = normalizeSuiAddress(
    `0x${Buffer.from(`mock gas ${nowMs} ${digest.slice(0, 8)}`)
      .toString('hex')
      .slice(0, 60)}`,
  );
  const coin = withDigest<MoveObject>({
    kind: 'move',
    id,
    version: 1n,
    owner: { kind: 'address', address: owner },
    previousTransaction: digest,
    storageRebate: 0n,
    type: coinOf(SUI_TYPE),
    hasPublicTransfer: true,
    contents: encode(coinWith(id, MOCK_GAS_BALANCE), coinOf(SUI_TYPE), code),
  });
  return { coin, merged: [], total: MOCK_GAS_BALANCE, isMock: true };
}

/** Versions are Lamport's: one more than the greatest of all inputs, those that are only read included. */
export function greatestVersion(loaded: LoadedInputs, gas: Gas): bigint {
  return [...[...loaded.objects.values()].map(({ object }) => object), gas.coin, ...gas.merged].reduce(
    (greatest, { version }) => (version > greatest ? version : greatest),
    0n,
  );
}
