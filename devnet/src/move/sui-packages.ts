import { toHex } from '@mysten/sui/utils';
import { type NativeBody, nativeModule } from './native.ts';
import { addressBytes, idFromBytes, idOf, idOfObject, part, uidOf } from './sui-objects.ts';
import { datatype, SUI } from './types.ts';
import {
  asAddress,
  asInteger,
  asVector,
  at,
  bytesToVector,
  copy,
  field,
  type MoveValue,
  put,
  struct,
  u8,
  u64,
  vectorToBytes,
} from './values.ts';

/** `sui::hex`, `address`, `package`, `sui`. */

const HEX_LENGTH = 0;
const HEX_CHARACTER = 1;
const text = (value: MoveValue | undefined): string =>
  Buffer.from(vectorToBytes(asVector(value))).toString('latin1');

export const hexModule = nativeModule(SUI, 'hex', [], {
  'public fun encode(bytes: vector<u8>): vector<u8>': ({ args: [bytes] }) =>
    bytesToVector(Buffer.from(toHex(vectorToBytes(asVector(bytes))), 'latin1')),
  'public fun decode(hex: vector<u8>): vector<u8>': (call) => {
    const hex = text(call.args[0]);
    if (hex.length % 2 !== 0) call.abort(HEX_LENGTH);
    if (!/^[0-9a-fA-F]*$/.test(hex)) call.abort(HEX_CHARACTER, { functionName: 'decode_byte' });
    return bytesToVector(Buffer.from(hex, 'hex'));
  },
});

export const addressModule = nativeModule(SUI, 'address', [], {
  'public fun from_bytes(bytes: vector<u8>): address': idFromBytes,
  'public fun to_bytes(a: address): vector<u8>': ({ args: [a] }) => addressBytes(asAddress(a)),
  'public fun to_string(a: address): String': ({ args: [a] }) =>
    struct(bytesToVector(Buffer.from(asAddress(a).slice(2), 'latin1'))),
  'public fun length(): u64': () => u64(32),
});

const ADDITIVE = 128;
const DEPENDENCIES_ONLY = 192;
const TOO_PERMISSIVE = 1;

/** The capability that `Publish` returns. */
export const UPGRADE_CAP_TYPE = datatype(SUI, 'package', 'UpgradeCap');
export const upgradeCap = (id: string, packageId: string): MoveValue =>
  struct(uidOf(id), idOf(packageId), u64(1), u8(0));

const restrictTo =
  (policy: number): NativeBody =>
  (call) => {
    const held = part(call.args[0], 3);
    if (asInteger(at(held)).value > BigInt(policy)) call.abort(TOO_PERMISSIVE, { functionName: 'restrict' });
    put(held, u8(policy));
  };

export const packageModule = nativeModule(
  SUI,
  'package',
  ['struct UpgradeCap has key, store { id: UID, package: ID, version: u64, policy: u8 }'],
  {
    'public fun upgrade_package(cap: &UpgradeCap): ID': ({ args: [cap] }) => copy(field(at(cap), 1)),
    'public fun version(cap: &UpgradeCap): u64': ({ args: [cap] }) => field(at(cap), 2),
    'public fun upgrade_policy(cap: &UpgradeCap): u8': ({ args: [cap] }) => field(at(cap), 3),
    'public entry fun only_additive_upgrades(cap: &mut UpgradeCap)': restrictTo(ADDITIVE),
    'public entry fun only_dep_upgrades(cap: &mut UpgradeCap)': restrictTo(DEPENDENCIES_ONLY),
    'public entry fun make_immutable(cap: UpgradeCap)': ({ args: [cap], host }) => {
      host.deleted(idOfObject(cap));
    },
  },
);

export const suiModule = nativeModule(SUI, 'sui', ['struct SUI has drop { dummy_field: bool }'], {});
