import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ourProgram } from './program.ts';

/** What a host reads of its machine, as files that a test writes: another boot, or another machine. */
export interface SeenMachine {
  readonly bootIdFile: string;
  readonly machineIdFile: string;
}

export async function makeSeenMachine(
  directory: string,
  { machineId, bootId }: { readonly machineId: string; readonly bootId: string },
): Promise<SeenMachine> {
  const seen = { bootIdFile: join(directory, 'boot_id'), machineIdFile: join(directory, 'machine-id') };
  await writeFile(seen.machineIdFile, `${machineId}\n`);
  await reboot(seen, bootId);
  return seen;
}

/** The next process that is started on it sees another boot. */
export function reboot({ bootIdFile }: SeenMachine, bootId: string): Promise<void> {
  return writeFile(bootIdFile, `${bootId}\n`);
}

const mounts =
  'mount --bind "$1" /proc/sys/kernel/random/boot_id && { [ ! -e /etc/machine-id ] || mount --bind "$2" /etc/machine-id; } && shift 2 && exec "$@"';

/** Our program, in a mount namespace of its own with these files in their places. */
export function seenBy({ bootIdFile, machineIdFile }: SeenMachine): readonly [string, ...string[]] {
  return ['unshare', '--mount', '--', 'sh', '-c', mounts, 'sh', bootIdFile, machineIdFile, ...ourProgram];
}
