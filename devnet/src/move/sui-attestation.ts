import { BcsError, decode } from './codec.ts';
import { type NativeCall, nativeModule } from './native.ts';
import { part } from './sui-objects.ts';
import { datatype, SUI } from './types.ts';
import { asVector, at, field, type MoveValue, vectorToBytes } from './values.ts';

/** `sui::nitro_attestation`. */

const DOCUMENT = datatype(SUI, 'nitro_attestation', 'NitroAttestationDocument');
const PARSE_ERROR = 1;

/**
 * Stands in for the check of AWS' signature, which no test can have for a document of its own: the bytes are the BCS of
 * the document itself. All that follows runs as it does elsewhere.
 */
function load(call: NativeCall): MoveValue {
  try {
    return decode(vectorToBytes(asVector(call.args[0])), DOCUMENT, call.definitions);
  } catch (error) {
    if (!(error instanceof BcsError)) throw error;
    return call.abort(PARSE_ERROR, { functionName: 'load_nitro_attestation_internal' });
  }
}

export const nitroAttestationModule = nativeModule(
  SUI,
  'nitro_attestation',
  [
    'struct PCREntry has drop { index: u8, value: vector<u8> }',
    'struct NitroAttestationDocument has drop { module_id: vector<u8>, timestamp: u64, digest: vector<u8>, pcrs: vector<PCREntry>, public_key: Option<vector<u8>>, user_data: Option<vector<u8>>, nonce: Option<vector<u8>> }',
  ],
  {
    'entry fun load_nitro_attestation(attestation: vector<u8>, clock: &Clock): NitroAttestationDocument':
      load,
    'public fun module_id(attestation: &NitroAttestationDocument): &vector<u8>': ({ args: [a] }) =>
      part(a, 0),
    'public fun timestamp(attestation: &NitroAttestationDocument): &u64': ({ args: [a] }) => part(a, 1),
    'public fun digest(attestation: &NitroAttestationDocument): &vector<u8>': ({ args: [a] }) => part(a, 2),
    'public fun pcrs(attestation: &NitroAttestationDocument): &vector<PCREntry>': ({ args: [a] }) =>
      part(a, 3),
    'public fun public_key(attestation: &NitroAttestationDocument): &Option<vector<u8>>': ({ args: [a] }) =>
      part(a, 4),
    'public fun user_data(attestation: &NitroAttestationDocument): &Option<vector<u8>>': ({ args: [a] }) =>
      part(a, 5),
    'public fun nonce(attestation: &NitroAttestationDocument): &Option<vector<u8>>': ({ args: [a] }) =>
      part(a, 6),
    'public fun index(entry: &PCREntry): u8': ({ args: [entry] }) => field(at(entry), 0),
    'public fun value(entry: &PCREntry): &vector<u8>': ({ args: [entry] }) => part(entry, 1),
  },
);
