import { isZero, toHex } from './bytes.ts';
import type { CollateralItem } from './evidence.ts';

/**
 * GUIDs of the SEV-ES guest-hypervisor communication block (AMD 56421, "certificate table"): VCEK, VLEK, ASK (or ASVK), ARK.
 */
const GUIDS = [
  '63da758d-e664-4564-adc5-f4b93be8accd',
  'a8074bc2-a25a-483e-aae6-39c045a0b8a1',
  '4ab7b379-bbac-4fe4-a02f-05aef327c782',
  'c0b406a4-a803-4952-9743-3fb6014cd0ae',
] as const;
/** Hosts write them in the order of RFC 4122, and some with the first three parts in little-endian. */
const KNOWN: ReadonlyMap<string, string> = new Map(
  GUIDS.flatMap((guid) => [
    [guid.replaceAll('-', ''), guid],
    [guid.split('-').map(mixedOrder).join(''), guid],
  ]),
);
const ENTRY = 24;
/** AMD's have some 1.5 KiB. */
const LONGEST = 16_384;

/**
 * The certificates that a host hands to its guest beside a report of SEV-SNP: entries of GUID, offset and length, ended by
 * one of zeros. Hosts often have none. Nothing of it is believed: `verify` checks it. The host is no friend of its guest: each
 * certificate counts once, and has a bound.
 * @throws Error for a table that is not whole
 */
export function certificatesOfTable(table: Buffer): readonly CollateralItem[] {
  const found = new Map<string, CollateralItem>();
  for (let at = 0; at < table.length; at += ENTRY) {
    const entry = table.subarray(at, at + ENTRY);
    if (isZero(entry)) return [...found.values()];
    if (entry.length < ENTRY) break;
    const [offset, length] = [entry.readUInt32LE(16), entry.readUInt32LE(20)];
    if (offset + length > table.length) throw new Error(`an entry ends at byte ${offset + length}`);
    const guid = KNOWN.get(toHex(entry.subarray(0, 16)));
    if (guid === undefined || length === 0) continue;
    if (found.has(guid) || length > LONGEST) throw new Error(`it has ${guid} twice, or with ${length} bytes`);
    found.set(guid, { name: 'certificate', content: table.subarray(offset, offset + length) });
  }
  if (table.length === 0) return [];
  throw new Error('it has no end');
}

function mixedOrder(part: string, index: number): string {
  return index < 3 ? Buffer.from(part, 'hex').reverse().toString('hex') : part;
}
