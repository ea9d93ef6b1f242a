import { ProofError } from './proof-error.ts';

const NO_RUNS = 12_346;
const WITH_RUNS = 12_347;
/** From this cardinality on a container is a bit set, which no committee needs. */
const ARRAY_MAX = 4096;
/** Where the one container begins: behind cookie, count, description and offset. */
const FIRST_OFFSET = 16;

/**
 * The indexes in a certificate's signer map: a RoaringBitmap in its portable format, of one container, since a committee has
 * fewer than 65 536 members (https://github.com/RoaringBitmap/RoaringFormatSpec). Strictly ascending, every byte used.
 */
export function signerIndexes(bytes: Uint8Array): readonly number[] {
  const input = cursor(bytes);
  const cookie = input.u32();
  const hasRuns = (cookie & 0xffff) === WITH_RUNS;
  if (!hasRuns && cookie !== NO_RUNS) throw invalid(`cookie ${cookie}`);
  const containers = hasRuns ? (cookie >>> 16) + 1 : input.u32();
  if (containers !== 1) throw invalid(`${containers} containers`);
  const runFlags = hasRuns ? input.u8() : 0;
  if (runFlags > 1) throw invalid(`run flags ${runFlags}`);
  const key = input.u16();
  const cardinality = input.u16() + 1;
  if (key !== 0) throw invalid(`container ${key}`);
  if (cardinality > ARRAY_MAX) throw invalid(`${cardinality} signers`);
  // With runs, offsets are left out below four containers.
  const offset = hasRuns ? FIRST_OFFSET : input.u32();
  if (offset !== FIRST_OFFSET) throw invalid(`offset ${offset}`);
  const indexes = runFlags === 1 ? runs(input) : Array.from({ length: cardinality }, () => input.u16());
  if (indexes.length !== cardinality) throw invalid(`${indexes.length} signers, announced as ${cardinality}`);
  if (!input.atEnd()) throw invalid('bytes are left over');
  for (let i = 1; i < indexes.length; i += 1) {
    if ((indexes[i] ?? 0) <= (indexes[i - 1] ?? 0)) throw invalid('signers are not in ascending order');
  }
  return indexes;
}

/** Pairs of start and length minus one. */
function runs(input: Cursor): number[] {
  const indexes: number[] = [];
  const count = input.u16();
  for (let run = 0; run < count; run += 1) {
    const start = input.u16();
    const last = start + input.u16();
    if (last > 0xffff || indexes.length + last - start >= ARRAY_MAX) throw invalid('a run that is too long');
    for (let index = start; index <= last; index += 1) indexes.push(index);
  }
  return indexes;
}

interface Cursor {
  u8(): number;
  u16(): number;
  u32(): number;
  atEnd(): boolean;
}

function cursor(bytes: Uint8Array): Cursor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (size: number): number => {
    if (at + size > view.byteLength) throw invalid('it ends early');
    at += size;
    return at - size;
  };
  return {
    u8: () => view.getUint8(take(1)),
    u16: () => view.getUint16(take(2), true),
    u32: () => view.getUint32(take(4), true),
    atEnd: () => at === view.byteLength,
  };
}

function invalid(what: string): ProofError {
  return new ProofError('bitmap-invalid', `the certificate's signer map is invalid: ${what}`);
}
