import { normalizeSuiAddress } from '@mysten/sui/utils';
import { z } from 'zod';
import { fromBase64 } from './base64.ts';
import type { Ledger } from './ledger.ts';
import type { LyingNode } from './lying-node.ts';
import { withDigest } from './objects.ts';

const Id = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,64}$/, 'expected an object id')
  .transform((id) => normalizeSuiAddress(id));
const Ids = z.array(Id).optional();
const Count = z.union([z.int().nonnegative(), z.string().regex(/^\d+$/)]).transform((count) => BigInt(count));

/** What the lying node is to say from now on; what is left out stays as it is. */
export const LiesOrder = z.strictObject({
  /** Forgets all earlier lies first. */
  honest: z.boolean().optional(),
  /** Objects that are shown as they are now, whatever happens. */
  hide: Ids,
  /** Of these, no newer version is shown to those who name it. */
  withhold: Ids,
  absent: Ids,
  /** A next version of an object with these contents (BCS, base64), under its own id or another one. */
  forge: z.array(z.strictObject({ id: Id, as: Id.optional(), contents: z.base64() })).optional(),
  signedByOthers: z.boolean().optional(),
  refuseTransactions: z.boolean().optional(),
  skipEpochs: z.array(Count).optional(),
  prunedBelow: Count.optional(),
  tip: Count.optional(),
  busyForSeconds: z.int().positive().optional(),
});

/** Throws a `RangeError` for an object that the chain does not have. */
export function tellLies(node: LyingNode, ledger: Ledger, order: z.infer<typeof LiesOrder>): void {
  const { lies } = node;
  if (order.honest) node.beHonest();
  for (const id of order.hide ?? []) lies.objects.set(id, ledger.objects.get(id) ?? 'absent');
  for (const id of order.withhold ?? []) lies.withheld.add(id);
  for (const id of order.absent ?? []) lies.objects.set(id, 'absent');
  for (const { id, as = id, contents } of order.forge ?? []) {
    const object = ledger.objects.get(id);
    if (object?.kind !== 'move') throw new RangeError(`there is no object ${id} to forge`);
    const forged = { ...object, id: as, version: object.version + 1n, contents: fromBase64(contents) };
    lies.objects.set(as, withDigest(forged));
  }
  for (const epoch of order.skipEpochs ?? []) lies.skippedEpochs.add(epoch);
  lies.isSignedByOthers = order.signedByOthers ?? lies.isSignedByOthers;
  lies.refusesTransactions = order.refuseTransactions ?? lies.refusesTransactions;
  lies.prunedBelow = order.prunedBelow ?? lies.prunedBelow;
  lies.tip = order.tip ?? lies.tip;
  lies.busyForSeconds = order.busyForSeconds ?? lies.busyForSeconds;
}
