import { derOfPem } from './certificate.ts';
import type { CollateralItem, Evidence } from './evidence.ts';

type Random = () => number;
const below = (random: Random, bound: number): number => Math.floor(random() * bound);

/** The ways in which bytes are changed: what an attacker, a disk or a broken reader does. */
const CHANGES: readonly ((bytes: Buffer, random: Random) => Buffer)[] = [
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    const at = below(random, copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << below(random, 8));
    return copy;
  },
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    copy[below(random, copy.length)] = [0, 1, 0x7f, 0x80, 0xff][below(random, 5)] ?? 0;
    return copy;
  },
  (bytes, random) => bytes.subarray(0, below(random, bytes.length)),
  (bytes, random) => {
    const at = below(random, bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(random, 64))]);
  },
  (bytes, random) => {
    const at = below(random, bytes.length + 1);
    const more = Buffer.from(Array.from({ length: 1 + below(random, 16) }, () => below(random, 256)));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  (bytes, random) => {
    const [from, to] = [below(random, bytes.length), below(random, bytes.length)];
    const copy = Buffer.from(bytes);
    bytes.copy(copy, to, from, from + 1 + below(random, 128));
    return copy;
  },
  (bytes, random) => {
    // Lengths and counts are where readers break.
    const copy = Buffer.from(bytes);
    const at = below(random, Math.max(1, copy.length - 4));
    copy.fill([0, 0xff][below(random, 2)] ?? 0, at, Math.min(copy.length, at + 1 + below(random, 4)));
    return copy;
  },
];

function changed(bytes: Uint8Array, random: Random): Buffer {
  let result = Buffer.from(bytes);
  const times = 1 + below(random, 3);
  for (let time = 0; time < times && result.length > 0; time += 1)
    result = Buffer.from(CHANGES[below(random, CHANGES.length)]?.(result, random) ?? result);
  return result;
}

/** The evidence with a few bytes changed: in one of three times in one document of its collateral. */
export function mutated(evidence: Evidence, random: Random): Evidence {
  const { collateral } = evidence;
  if (collateral.length === 0 || random() < 0.67)
    return { ...evidence, bytes: changed(evidence.bytes, random) };
  const chosen = below(random, collateral.length);
  return {
    ...evidence,
    collateral: collateral.map((item, index) => (index === chosen ? changedItem(item, random) : item)),
  };
}

function changedItem(item: CollateralItem, random: Random): CollateralItem {
  if (item.issuerChain === undefined || random() < 0.5)
    return { ...item, content: changed(item.content, random) };
  return { ...item, issuerChain: changed(Buffer.from(item.issuerChain), random).toString('latin1') };
}

/** Whether two pieces of evidence say the same: zeros behind a quote, and text between certificates, say nothing. */
export function isSame(one: Evidence, other: Evidence): boolean {
  return meaning(one) === meaning(other);
}

function meaning({ kind, bytes, collateral }: Evidence): string {
  const text = Buffer.from(bytes).toString('hex');
  const items = collateral.map(({ name, content, issuerChain = '' }) => [
    name,
    Buffer.from(content).toString('latin1').trimEnd(),
    ...derOfPem(issuerChain).map((der) => der.toString('hex')),
  ]);
  return JSON.stringify([kind === 'tdx' || kind === 'sgx' ? text.replace(/(?:00)+$/, '') : text, items]);
}
