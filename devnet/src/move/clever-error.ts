import type { CompiledModule } from './compiled-module.ts';
import { formatType } from './types.ts';

/** What an abort code of a `#[error]` constant says, looked up in the constant pool of the module that aborted. */
export interface CleverError {
  readonly lineNumber: number;
  readonly errorCode: number | undefined;
  readonly constantName: string | undefined;
  readonly constantType: string | undefined;
  /** The message, if the constant is text. */
  readonly rendered: string | undefined;
  readonly raw: Uint8Array | undefined;
}

const NONE = 0xffffn;
const NO_CODE = 0xffn;

/**
 * The compiler packs into an abort code: the tag 11 in the top two bits, then (from bit 48) 8 bits of an explicit
 * error code, 16 bits of line number, and the constant-pool indexes of the constant's name and of its value.
 */
export function readCleverError(code: bigint, module: CompiledModule | undefined): CleverError | undefined {
  if (code >> 62n !== 3n || !module) return undefined;
  const explicit = (code >> 48n) & 0xffn;
  const bytesAt = (index: bigint) => (index === NONE ? undefined : module.constants[Number(index)]);
  const name = bytesAt((code >> 16n) & 0xffffn);
  const value = bytesAt(code & 0xffffn);
  const isText = value !== undefined && formatType(value.type) === 'vector<u8>';
  return {
    lineNumber: Number((code >> 32n) & 0xffffn),
    errorCode: explicit === NO_CODE ? undefined : Number(explicit),
    constantName: name && textOf(name.bytes),
    constantType: value && formatType(value.type),
    rendered: isText ? textOf(value.bytes) : undefined,
    raw: isText ? undefined : value?.bytes,
  };
}

/** BCS of a byte vector shorter than 128 bytes has a length of one byte; longer ones two. */
function textOf(bcs: Uint8Array): string {
  const headerLength = (bcs[0] ?? 0) < 0x80 ? 1 : 2;
  return Buffer.from(bcs.subarray(headerLength)).toString('utf8');
}
