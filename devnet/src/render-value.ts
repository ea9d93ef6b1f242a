import { GrpcTypes } from '@mysten/sui/grpc';
import { toBase64 } from '@mysten/sui/utils';
import {
  asAddress,
  asInteger,
  asStruct,
  asVariant,
  asVector,
  type Definitions,
  type FieldDefinition,
  isDatatype,
  type MoveValue,
  STD,
  SUI,
  substitute,
  type Type,
  vectorToBytes,
} from './move/index.ts';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * A value as the node's JSON has it: u64 and wider as strings, ids and addresses as 0x-hex, bytes as base64, text as
 * text, an Option as its value or null, a Balance as its amount.
 */
export function toJson(value: MoveValue, type: Type, definitions: Definitions): Json {
  switch (type.kind) {
    case 'bool':
      return value as boolean;
    case 'u8':
    case 'u16':
    case 'u32':
      return Number(asInteger(value).value);
    case 'u64':
    case 'u128':
    case 'u256':
      return String(asInteger(value).value);
    case 'address':
    case 'signer':
      return asAddress(value);
    case 'vector':
      if (type.element.kind === 'u8') return toBase64(vectorToBytes(asVector(value)));
      return asVector(value).items.map((item) => toJson(item, type.element, definitions));
    case 'datatype':
      return datatypeToJson(value, type, definitions);
    default:
      return null;
  }
}

function datatypeToJson(
  value: MoveValue,
  type: Extract<Type, { kind: 'datatype' }>,
  definitions: Definitions,
): Json {
  const definition = definitions.datatype(type.address, type.module, type.name);
  if (!definition) return null;
  if (definition.body.kind === 'enum') {
    const { tag, fields } = asVariant(value);
    const variant = definition.body.variants[tag];
    if (!variant) return null;
    return { '@variant': variant.name, ...fieldsToJson(fields, variant.fields, type.args, definitions) };
  }
  const { fields } = asStruct(value);
  const [first] = fields;
  if (first !== undefined) {
    if (isText(type)) return Buffer.from(vectorToBytes(asVector(first))).toString('utf8');
    if (isDatatype(type, STD, 'option', 'Option')) {
      const [held] = asVector(first).items;
      return held === undefined ? null : toJson(held, type.args[0] as Type, definitions);
    }
    // UID, ID and Balance are wrappers around one thing, and shown as that thing.
    const [only] = definition.body.fields;
    if (only && isWrapper(type)) return toJson(first, substitute(only.type, type.args), definitions);
  }
  return fieldsToJson(fields, definition.body.fields, type.args, definitions);
}

const isText = (type: Type): boolean =>
  isDatatype(type, STD, 'string', 'String') || isDatatype(type, STD, 'ascii', 'String');

const isWrapper = (type: Type): boolean =>
  isDatatype(type, SUI, 'object', 'UID') ||
  isDatatype(type, SUI, 'object', 'ID') ||
  isDatatype(type, SUI, 'balance', 'Balance');

const fieldsToJson = (
  values: readonly MoveValue[],
  fields: readonly FieldDefinition[],
  args: readonly Type[],
  definitions: Definitions,
): { [key: string]: Json } =>
  Object.fromEntries(
    fields.map(({ name, type }, index) => [
      name,
      toJson(values[index] as MoveValue, substitute(type, args), definitions),
    ]),
  );

type ProtoValue = NonNullable<GrpcTypes.Object['json']>;

// google.protobuf.Value is not exported by the SDK; the field of a message that has it is.
const valueField = GrpcTypes.Object.fields.find(({ name }) => name === 'json');
const ProtoValueType = (valueField as unknown as { T: () => { fromJson(json: Json): ProtoValue } }).T();

export const toProtoValue = (json: Json): ProtoValue => ProtoValueType.fromJson(json);
