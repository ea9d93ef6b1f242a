import { type NativeCall, nativeModule } from './native.ts';
import { newUid, part } from './sui-objects.ts';
import { datatype, SUI, type Type } from './types.ts';
import {
  asInteger,
  asVector,
  at,
  copy,
  field,
  integer,
  type MoveValue,
  put,
  struct,
  vector,
} from './values.ts';

/** `sui::display`: how wallets show objects of a type. */

const VECTOR_LENGTH_MISMATCH = 1;

function say({ host, typeArgs }: NativeCall, event: string, value: MoveValue): void {
  host.emit(datatype(SUI, 'display', event, [typeArgs[0] as Type]), value);
}

export const displayModule = nativeModule(
  SUI,
  'display',
  [
    'struct Display<phantom T: key> has key, store { id: UID, fields: VecMap<String, String>, version: u16 }',
    'struct DisplayCreated<phantom T: key> has copy, drop { id: ID }',
    'struct VersionUpdated<phantom T: key> has copy, drop { id: ID, version: u16, fields: VecMap<String, String> }',
  ],
  {
    'public fun new_with_fields<T: key>(pub: &Publisher, fields: vector<String>, values: vector<String>, ctx: &mut TxContext): Display<T>':
      (call) => {
        const names = asVector(call.args[1]).items;
        const values = asVector(call.args[2]).items;
        if (names.length !== values.length) call.abort(VECTOR_LENGTH_MISMATCH);
        const uid = newUid(call);
        say(call, 'DisplayCreated', struct(copy(field(uid, 0))));
        const entries = names.map((name, index) => struct(name, values[index] as MoveValue));
        return struct(uid, struct(vector(entries)), integer(16, 0n));
      },
    'public entry fun update_version<T: key>(display: &mut Display<T>)': (call) => {
      const display = call.args[0];
      const version = integer(16, asInteger(at(part(display, 2))).value + 1n);
      put(part(display, 2), version);
      const id = field(field(at(display), 0), 0);
      say(call, 'VersionUpdated', struct(copy(id), version, copy(field(at(display), 1))));
    },
    'public fun version<T: key>(d: &Display<T>): u16': ({ args: [display] }) => field(at(display), 2),
  },
);
