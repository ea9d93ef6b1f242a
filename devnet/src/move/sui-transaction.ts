import { type NativeBody, nativeModule } from './native.ts';
import { none, some } from './standard-library.ts';
import { idOfObject } from './sui-objects.ts';
import { isDatatype, SUI, type Type } from './types.ts';
import { asAddress, at, bytesToVector, field, type MoveValue, place, struct, u64 } from './values.ts';

/** `sui::tx_context`, `transfer`, `event`, `clock`: what Move code asks of the transaction it runs in. */

/** The value that a `&mut TxContext` points at; its functions ask the host instead. */
export const txContext = (): MoveValue => struct();
/** `&TxContext` and `&mut TxContext` are given by the chain, not by the caller. */
export const isTxContextParameter = (type: Type): boolean =>
  type.kind === 'reference' && isDatatype(type.to, SUI, 'tx_context', 'TxContext');

export const txContextModule = nativeModule(
  SUI,
  'tx_context',
  [
    'struct TxContext has drop { sender: address, tx_hash: vector<u8>, epoch: u64, epoch_timestamp_ms: u64, ids_created: u64 }',
  ],
  {
    'public fun sender(self: &TxContext): address': ({ host }) => host.sender,
    'public fun digest(self: &TxContext): &vector<u8>': ({ host }) =>
      place([bytesToVector(host.digestBytes)], 0),
    'public fun epoch(self: &TxContext): u64': ({ host }) => u64(host.epoch),
    'public fun epoch_timestamp_ms(self: &TxContext): u64': ({ host }) => u64(host.epochTimestampMs),
    'public fun sponsor(self: &TxContext): Option<address>': ({ host }) =>
      host.sponsor === undefined ? none() : some(host.sponsor),
    'public fun fresh_object_address(ctx: &mut TxContext): address': ({ host }) => host.freshId(),
    'public fun reference_gas_price(self: &TxContext): u64': ({ host }) => u64(host.referenceGasPrice),
    'public fun gas_price(self: &TxContext): u64': ({ host }) => u64(host.gasPrice),
  },
);

const transferTo: NativeBody = ({ args: [object, recipient], typeArgs, host }) => {
  host.transfer(typeArgs[0] as Type, object as MoveValue, {
    kind: 'address',
    address: asAddress(recipient),
  });
};
const freeze: NativeBody = ({ args: [object], typeArgs, host }) => {
  host.transfer(typeArgs[0] as Type, object as MoveValue, { kind: 'immutable' });
};
const SHARED_NON_NEW_OBJECT = 0;
const share: NativeBody = (call) => {
  const object = call.args[0] as MoveValue;
  if (!call.host.mayShare(idOfObject(object)))
    call.abort(SHARED_NON_NEW_OBJECT, { functionName: 'share_object_impl' });
  call.host.transfer(call.typeArgs[0] as Type, object, { kind: 'shared', initialVersion: undefined });
};

export const transferModule = nativeModule(SUI, 'transfer', [], {
  'public fun transfer<T: key>(obj: T, recipient: address)': transferTo,
  'public fun public_transfer<T: key + store>(obj: T, recipient: address)': transferTo,
  'public fun freeze_object<T: key>(obj: T)': freeze,
  'public fun public_freeze_object<T: key + store>(obj: T)': freeze,
  'public fun share_object<T: key>(obj: T)': share,
  'public fun public_share_object<T: key + store>(obj: T)': share,
});

export const eventModule = nativeModule(SUI, 'event', [], {
  'public fun emit<T: copy + drop>(event: T)': ({ args: [event], typeArgs, host }) => {
    host.emit(typeArgs[0] as Type, event as MoveValue);
  },
});

export const clockModule = nativeModule(
  SUI,
  'clock',
  ['struct Clock has key { id: UID, timestamp_ms: u64 }'],
  {
    'public fun timestamp_ms(clock: &Clock): u64': ({ args: [clock] }) => field(at(clock), 1),
  },
);
