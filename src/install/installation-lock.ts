import { acquireLock, type Lock } from '#infrastructure';
import { type Machine, placeOf } from './machine.ts';
import { RECORD_DIR } from './record.ts';

/**
 * Held from the look at the machine until it is changed: two at once would each take the other's files for those of plain k3s, and
 * the way back would be lost. A dry run, and a user who may change nothing, hold none. Throws `DAAS_LOCK_HELD`.
 */
export async function lockInstallation(
  machine: Machine,
  { dryRun = false }: { readonly dryRun?: boolean },
): Promise<Lock | undefined> {
  if (dryRun || machine.uid !== 0) return undefined;
  return acquireLock(placeOf(machine, `${RECORD_DIR}/lock`), 'the installation');
}
