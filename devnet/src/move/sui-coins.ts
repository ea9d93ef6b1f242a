import { type NativeCall, nativeModule } from './native.ts';
import { idOfObject, newUid, part, uidOf } from './sui-objects.ts';
import { SUI } from './types.ts';
import {
  asInteger,
  at,
  field,
  type MoveReference,
  type MoveValue,
  put,
  struct,
  u64,
  vector,
} from './values.ts';

/** `sui::balance` and `coin`. */

const U64_MAX = 2n ** 64n - 1n;
const BALANCE_NON_ZERO = 0;
const BALANCE_NOT_ENOUGH = 2;
const COIN_INVALID_ARGUMENT = 1;
const COIN_NOT_ENOUGH = 2;

const amountOf = (balance: MoveValue | undefined): bigint => asInteger(field(balance, 0)).value;
export const balanceOf = (amount: bigint): MoveValue => struct(u64(amount));
export const coinBalance = (coin: MoveValue | undefined): bigint => amountOf(field(coin, 1));
export const coinWith = (id: string, amount: bigint): MoveValue => struct(uidOf(id), balanceOf(amount));

function addTo(call: NativeCall, balance: MoveReference, amount: bigint): bigint {
  const sum = amountOf(at(balance)) + amount;
  if (sum > U64_MAX) call.fault('arithmetic out of range');
  put(balance, balanceOf(sum));
  return sum;
}

function takeFrom(call: NativeCall, balance: MoveReference, amount: bigint): MoveValue {
  const left = amountOf(at(balance)) - amount;
  if (left < 0n) call.abort(BALANCE_NOT_ENOUGH, { module: 'balance', functionName: 'split' });
  put(balance, balanceOf(left));
  return balanceOf(amount);
}

const wanted = (value: MoveValue | undefined): bigint => asInteger(value).value;

export const balanceModule = nativeModule(
  SUI,
  'balance',
  ['struct Supply<phantom T> has store { value: u64 }', 'struct Balance<phantom T> has store { value: u64 }'],
  {
    'public fun value<T>(self: &Balance<T>): u64': ({ args: [self] }) => field(at(self), 0),
    'public fun zero<T>(): Balance<T>': () => balanceOf(0n),
    'public fun join<T>(self: &mut Balance<T>, balance: Balance<T>): u64': (call) =>
      u64(addTo(call, call.args[0] as MoveReference, amountOf(call.args[1]))),
    'public fun split<T>(self: &mut Balance<T>, value: u64): Balance<T>': (call) =>
      takeFrom(call, call.args[0] as MoveReference, wanted(call.args[1])),
    'public fun withdraw_all<T>(self: &mut Balance<T>): Balance<T>': (call) =>
      takeFrom(call, call.args[0] as MoveReference, amountOf(at(call.args[0]))),
    'public fun destroy_zero<T>(balance: Balance<T>)': (call) => {
      if (amountOf(call.args[0]) !== 0n) call.abort(BALANCE_NON_ZERO);
    },
  },
);

export const coinModule = nativeModule(
  SUI,
  'coin',
  ['struct Coin<phantom T> has key, store { id: UID, balance: Balance<T> }'],
  {
    'public fun value<T>(self: &Coin<T>): u64': ({ args: [self] }) => u64(coinBalance(at(self))),
    'public fun balance<T>(coin: &Coin<T>): &Balance<T>': ({ args: [coin] }) => part(coin, 1),
    'public fun balance_mut<T>(coin: &mut Coin<T>): &mut Balance<T>': ({ args: [coin] }) => part(coin, 1),
    'public fun from_balance<T>(balance: Balance<T>, ctx: &mut TxContext): Coin<T>': (call) =>
      struct(newUid(call), call.args[0] as MoveValue),
    'public fun into_balance<T>(coin: Coin<T>): Balance<T>': ({ args: [coin], host }) => {
      host.deleted(idOfObject(coin));
      return field(coin, 1);
    },
    'public fun take<T>(balance: &mut Balance<T>, value: u64, ctx: &mut TxContext): Coin<T>': (call) => {
      // The framework makes the UID first: were the order another, so would be the ids.
      const uid = newUid(call);
      return struct(uid, takeFrom(call, call.args[0] as MoveReference, wanted(call.args[1])));
    },
    'public fun put<T>(balance: &mut Balance<T>, coin: Coin<T>)': (call) => {
      call.host.deleted(idOfObject(call.args[1]));
      addTo(call, call.args[0] as MoveReference, coinBalance(call.args[1]));
    },
    'public entry fun join<T>(self: &mut Coin<T>, c: Coin<T>)': (call) => {
      call.host.deleted(idOfObject(call.args[1]));
      addTo(call, part(call.args[0], 1), coinBalance(call.args[1]));
    },
    'public fun split<T>(self: &mut Coin<T>, split_amount: u64, ctx: &mut TxContext): Coin<T>': (call) => {
      const uid = newUid(call);
      return struct(uid, takeFrom(call, part(call.args[0], 1), wanted(call.args[1])));
    },
    'public fun divide_into_n<T>(self: &mut Coin<T>, n: u64, ctx: &mut TxContext): vector<Coin<T>>': (
      call,
    ) => {
      const n = wanted(call.args[1]);
      const balance = part(call.args[0], 1);
      const total = amountOf(at(balance));
      if (n === 0n) call.abort(COIN_INVALID_ARGUMENT);
      if (n > total) call.abort(COIN_NOT_ENOUGH);
      const coins: MoveValue[] = [];
      for (let index = 1n; index < n; index++)
        coins.push(struct(newUid(call), takeFrom(call, balance, total / n)));
      return vector(coins);
    },
    'public fun zero<T>(ctx: &mut TxContext): Coin<T>': (call) => struct(newUid(call), balanceOf(0n)),
    'public fun destroy_zero<T>(c: Coin<T>)': (call) => {
      call.host.deleted(idOfObject(call.args[0]));
      if (coinBalance(call.args[0]) !== 0n)
        call.abort(BALANCE_NON_ZERO, { module: 'balance', functionName: 'destroy_zero' });
    },
  },
);
