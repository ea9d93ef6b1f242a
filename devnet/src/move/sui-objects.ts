import { fromHex, toHex } from '@mysten/sui/utils';
import { type NativeCall, nativeModule } from './native.ts';
import { SUI } from './types.ts';
import {
  asAddress,
  asStruct,
  asVector,
  at,
  bytesToVector,
  field,
  type MoveReference,
  type MoveValue,
  place,
  struct,
  vectorToBytes,
} from './values.ts';

/** `sui::object`. */

/** UID and ID are structs around an address: `UID { id: ID { bytes } }`. */
export const uidOf = (id: string): MoveValue => struct(struct(id));
export const idOf = (id: string): MoveValue => struct(id);
export const idOfUid = (uid: MoveValue | undefined): string => asAddress(field(field(uid, 0), 0));
/** The id of an object: its first field is its UID. */
export const idOfObject = (object: MoveValue | undefined): string => idOfUid(field(object, 0));

/** A fresh UID, known to the transaction as created. */
export function newUid({ host }: NativeCall): MoveValue {
  const id = host.freshId();
  host.created(id);
  return uidOf(id);
}

/** Field `index` of the struct at a place, as a place. */
export const part = (reference: MoveValue | undefined, index: number): MoveReference =>
  place(asStruct(at(reference)).fields, index);

export const addressBytes = (address: string): MoveValue => bytesToVector(fromHex(address));

export function idFromBytes(call: NativeCall): string {
  const bytes = vectorToBytes(asVector(call.args[0]));
  // `address::from_bytes` has one error, EAddressParseError.
  if (bytes.length !== 32) call.abort(0, { module: 'address', functionName: 'from_bytes' });
  return `0x${toHex(bytes)}`;
}

export const objectModule = nativeModule(
  SUI,
  'object',
  ['struct ID has copy, drop, store { bytes: address }', 'struct UID has store { id: ID }'],
  {
    'public fun id_to_bytes(id: &ID): vector<u8>': ({ args: [id] }) =>
      addressBytes(asAddress(field(at(id), 0))),
    'public fun id_to_address(id: &ID): address': ({ args: [id] }) => field(at(id), 0),
    'public fun id_from_bytes(bytes: vector<u8>): ID': (call) => idOf(idFromBytes(call)),
    'public fun id_from_address(bytes: address): ID': ({ args: [address] }) => struct(address as MoveValue),
    'public fun uid_as_inner(uid: &UID): &ID': ({ args: [uid] }) => part(uid, 0),
    'public fun uid_to_inner(uid: &UID): ID': ({ args: [uid] }) => idOf(idOfUid(at(uid))),
    'public fun uid_to_bytes(uid: &UID): vector<u8>': ({ args: [uid] }) => addressBytes(idOfUid(at(uid))),
    'public fun uid_to_address(uid: &UID): address': ({ args: [uid] }) => idOfUid(at(uid)),
    'public fun new(ctx: &mut TxContext): UID': newUid,
    'public fun delete(id: UID)': ({ args: [id], host }) => {
      host.deleted(idOfUid(id));
    },
    'public fun id<T: key>(obj: &T): ID': ({ args: [obj] }) => idOf(idOfObject(at(obj))),
    'public fun borrow_id<T: key>(obj: &T): &ID': ({ args: [obj] }) => part(part(obj, 0), 0),
    'public fun id_bytes<T: key>(obj: &T): vector<u8>': ({ args: [obj] }) =>
      addressBytes(idOfObject(at(obj))),
    'public fun id_address<T: key>(obj: &T): address': ({ args: [obj] }) => idOfObject(at(obj)),
  },
);
